"""The submission of the glomeruli contest: what is written is what is read; every fault has its place."""

import numpy as np
import pytest

from kagglekit import DataError, SubmissionError
from kagglekit.metrics import MeanDice
from kagglekit.predict.submission import check_file, score_file
from kagglekit_glomeruli.contest import Settings
from kagglekit_glomeruli.dataset import read
from kagglekit_glomeruli.submission import RleCsv
from tests.glomeruli import independent_score
from tests.glomeruli.data_folders import SIZE, folder, make_image
from tests.helpers import kk


@pytest.fixture
def root(tmp_path):
    return folder(tmp_path / "d")


def data_of(root):
    return read(root, Settings(), 2)


def test_masks_come_back_by_row_and_by_stripe(root):
    form = data_of(root).submission
    _, mask = make_image(3)
    row = form.encode(mask)
    assert np.array_equal(form.decode(row, SIZE), mask)
    stripes = [mask[:, left : left + 50] for left in range(0, SIZE[1], 50)]
    assert form.encode_stripes(iter(stripes), SIZE) == row
    assert np.array_equal(np.concatenate(list(form.decode_stripes(row, SIZE, 37)), 1), mask)


def test_the_score_of_a_file_is_that_of_independent_code(root, tmp_path):
    data = data_of(root)
    masks = [np.roll(make_image(4 + i)[1], 5, i) for i in range(2)]
    data.submission.write(tmp_path / "s.csv", {f"bbb{i}": data.submission.encode(m) for i, m in enumerate(masks)})
    score = score_file(tmp_path / "s.csv", data, MeanDice())
    independent = independent_score.score(tmp_path / "s.csv", root / "answers.csv", root / "test")
    assert score.value == pytest.approx(independent, abs=1e-12) and 0.4 < score.value < 1
    assert check_file(tmp_path / "s.csv", data) == []


def test_the_truth_scores_one_and_empty_masks_score_nothing(root, tmp_path):
    data = data_of(root)
    assert score_file(root / "answers.csv", data, MeanDice()).value == 1
    data.submission.write(tmp_path / "s.csv", {"bbb0": "", "bbb1": ""})
    assert score_file(tmp_path / "s.csv", data, MeanDice()).value == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,pixels\nbbb0,\nbbb1,\n", "id,predicted"),
        ("id,predicted\nbbb0,\n", "ids missing: 1 of 2"),
        ("id,predicted\nbbb0,\nbbb1,\nbbb2,\n", "ids not asked for: 1"),
        ("id,predicted\nbbb0,\nbbb0,\nbbb1,\n", "also that of line 2"),
        ("id,predicted\nbbb0,1 2,3\nbbb1,\n", "line 2"),
        ("", "empty"),
    ],
)
def test_a_file_of_wrong_form_is_refused_as_a_whole(root, tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(SubmissionError) as error:
        data_of(root).submission.read(tmp_path / "s.csv")
    assert message in str(error.value) and "s.csv" in str(error.value)


def test_rows_that_are_wrong_are_all_listed_by_slide(root, tmp_path):
    (tmp_path / "s.csv").write_text("id,predicted\nbbb0,5 3 4 2\nbbb1,49150 50\n")
    faults = check_file(tmp_path / "s.csv", data_of(root))
    assert len(faults) == 2 and faults[0].startswith("bbb0: ") and "run 2" in faults[0]
    assert faults[1].startswith("bbb1: ") and "ends beyond" in faults[1]


def test_the_command_says_which_row_is_wrong_and_what_is_right(root, tmp_path):
    (tmp_path / "good.csv").write_text("id,predicted\nbbb0,1 3\nbbb1,\n")
    (tmp_path / "bad.csv").write_text("id,predicted\nbbb0,1 3\nbbb1,3 3 1 1\n")
    good = kk(tmp_path, "submission", "check", "glomeruli", "good.csv", "--data", root)
    assert good.returncode == 0 and "2 test images, every row decoded" in good.stdout
    bad = kk(tmp_path, "submission", "check", "glomeruli", "bad.csv", "--data", root)
    assert bad.returncode == 1 and "bad.csv would be refused:\nbbb1: " in bad.stdout and "Traceback" not in bad.stderr
    alone = kk(tmp_path, "submission", "check", "glomeruli", "good.csv")
    assert alone.returncode == 1 and "give --data DIR" in alone.stderr
    nothing = kk(tmp_path, "submission", "check", "glomeruli", "nothing.csv", "--data", root)
    assert nothing.returncode == 2 and "nothing.csv: no such file" in nothing.stderr


def test_a_sample_submission_without_slides_is_refused(tmp_path):
    (tmp_path / "sample.csv").write_text("id,predicted\n")
    with pytest.raises(DataError, match="lists no slide"):
        RleCsv(tmp_path / "sample.csv").names()
