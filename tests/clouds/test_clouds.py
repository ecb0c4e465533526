"""The clouds contest: folder, labels at two sizes, submission, and everything that can be wrong with them."""

import shutil

import numpy as np
import pytest

from kagglekit import DataError, SubmissionError
from kagglekit.data.folds import split
from kagglekit.metrics import MeanDice
from kagglekit.predict.submission import check_file, score_file
from kagglekit_clouds.contest import CLASSES, SUBMITTED, Settings
from kagglekit_clouds.dataset import read
from tests.clouds import independent_score
from tests.clouds.data_folders import folder, make_image, table, write_rows


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("clouds") / "d")


@pytest.fixture
def root(made, tmp_path):
    return shutil.copytree(made, tmp_path / "d")


def dataset(root, **settings):
    return read(root, Settings(**settings))


def problems(data) -> dict[str, str]:
    return {p.sample: f"{p.rule}: {p.detail}" for p in data.problems}


def changed_rows(root, change):
    """train.csv with its rows changed."""
    rows = table({f"a{i}.jpg": make_image(i)[1] for i in range(6)})
    write_rows(root / "train.csv", change(rows) or rows)


def test_a_faultless_folder_reads_as_it_was_written(made):
    data = dataset(made)
    assert (len(data.train), len(data.test), len(data.answers), data.problems) == (6, 3, 3, [])
    for i, sample in enumerate(data.train[:3]):
        _, mask = make_image(i)
        assert np.array_equal(data.read_mask(sample), mask)
        assert sample.classes == tuple(k for k in range(4) if mask[..., k].any())
        assert sample.truth_size == SUBMITTED and sample.size == (1400, 2100)


@pytest.mark.parametrize("way", ["nearest", "area", "any"])
def test_labels_come_to_the_scored_size_in_the_way_that_is_set(made, way):
    data = dataset(made, truth_resize=way)
    mask, truth = data.read_mask(data.train[1]), data.read_truth(data.train[1])
    blocks = mask.reshape(350, 4, 525, 4, 4).transpose(0, 2, 4, 1, 3).reshape(350, 525, 4, 16)
    expected = {"nearest": mask[::4, ::4], "area": blocks.mean(-1) >= 0.5, "any": blocks.max(-1)}[way]
    assert truth.dtype == np.uint8 and np.array_equal(truth, expected.astype(np.uint8))


def test_every_fold_has_its_share_of_every_class(tmp_path):
    from pathlib import Path

    from kagglekit import Sample

    rng = np.random.default_rng(0)
    rates = (0.6, 0.4, 0.3, 0.08)
    samples = [
        Sample(f"s{i}", Path("x"), (4, 4), classes=tuple(k for k in range(4) if rng.random() < rates[k]))
        for i in range(400)
    ]
    total = [sum(k in s.classes for s in samples) for k in range(4)]
    for fold in range(5):
        _, held = split(samples, 5, fold, 0)
        assert abs(len(held) - 80) <= 4
        for k in range(4):
            assert abs(sum(k in s.classes for s in held) - total[k] / 5) <= 2


@pytest.mark.parametrize(
    ("runs", "reason"),
    [("3 4 5", "3 numbers"), ("9 2 3 4", "run 2"), ("2940000 2", "beyond"), ("5 0", "run 1"), ("1.5 2", "'1.5'")],
)
def test_a_row_that_the_host_would_refuse_is_named_with_class_and_reason(root, runs, reason):
    def change(rows):
        rows[5][1] = runs

    changed_rows(root, change)
    data = dataset(root)
    assert len(data.train) == 5
    assert problems(data)["a1.jpg"].startswith("label unreadable: Flower: ") and reason in problems(data)["a1.jpg"]


def test_an_image_without_a_row_for_each_class_is_left_out(root):
    changed_rows(root, lambda rows: rows[:2] + rows[3:])
    data = dataset(root)
    assert "no row for Gravel" in problems(data)["a0.jpg"] and len(data.train) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: [["a0.jpg_Fisch", "1 1"], *rows],
            "a0.jpg_Fisch: names no class of this competition; did you mean Fish?",
        ),
        (lambda rows: [["a0.jpg", "1 1"], *rows], "a0.jpg: names no class"),
        (lambda rows: [*rows, rows[3]], "is also that of line"),
        (lambda rows: [], "no usable label of 0"),
    ],
)
def test_a_table_of_wrong_form_is_refused_by_file_and_row(root, change, message):
    write_rows(root / "train.csv", change(table({f"a{i}.jpg": make_image(i)[1] for i in range(2)})))
    with pytest.raises(DataError) as error:
        dataset(root)
    assert "train.csv" in str(error.value) and message in str(error.value)


def test_a_wrong_header_is_shown_beside_the_expected_one(root):
    write_rows(root / "train.csv", [], ["image", "rle"])
    with pytest.raises(DataError, match=r"image,rle.*Image_Label,EncodedPixels|Image_Label,EncodedPixels.*image,rle"):
        dataset(root)


def test_images_and_labels_without_each_other_are_listed(root):
    (root / "train_images/a0.jpg").unlink()
    shutil.copy(root / "train_images/a1.jpg", root / "train_images/stray.jpg")
    shutil.copy(root / "train_images/a1.jpg", root / "test_images/extra.jpg")
    (root / "test_images/b1.jpg").unlink()
    data = dataset(root)
    told = problems(data)
    assert told["a0.jpg"].startswith("label without image") and told["stray.jpg"].startswith("image without label")
    assert told["extra.jpg"].startswith("not in the sample submission")
    assert told["b1.jpg"].startswith("test image missing") and [s.id for s in data.test] == [
        "b0.jpg",
        "b1.jpg",
        "b2.jpg",
    ]


@pytest.mark.parametrize("part", ["train.csv", "sample_submission.csv", "train_images", "test_images"])
def test_a_missing_part_is_named_with_the_layout(root, part):
    shutil.rmtree(root / part) if (root / part).is_dir() else (root / part).unlink()
    with pytest.raises(DataError, match=rf"{part} is missing; expected\nDIR/train\.csv"):
        dataset(root)


def test_an_image_of_another_size_is_refused_when_it_is_read(root):
    import cv2

    (root / "train_images/a2.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((700, 1050, 3), np.uint8))[1].tobytes())
    data = dataset(root)
    with pytest.raises(DataError, match=r"a2\.jpg: 700x1050 pixels \(height x width\); expected 1400x2100"):
        data.read_image(data.train[2])


def test_a_sample_submission_without_all_classes_is_refused(root):
    write_rows(root / "sample_submission.csv", [["b0.jpg_Fish", "1 1"]])
    with pytest.raises(DataError, match=r"expected a row NAME\.jpg_CLASS.*see b0\.jpg_Flower"):
        dataset(root)


def test_broken_answers_are_refused_rather_than_scored(root):
    rows = table({f"b{i}.jpg": make_image(6 + i)[1] for i in range(3)})
    rows[2][1] = "7 7 7"
    write_rows(root / "answers.csv", rows)
    with pytest.raises(DataError, match=r"answers\.csv: b0\.jpg: Gravel: 3 numbers"):
        dataset(root)
    write_rows(root / "answers.csv", rows[4:])
    assert set(dataset(root).answers) == {"b1.jpg", "b2.jpg"}


def test_masks_come_back_from_their_rows_and_files(made, tmp_path):
    data = dataset(made)
    form, truth = data.submission, data.read_truth(data.train[0])
    assert np.array_equal(form.decode(form.encode(truth), SUBMITTED), truth)
    rows = {s.id: form.encode(data.read_truth(t)) for s, t in zip(data.test, data.train, strict=False)}
    form.write(tmp_path / "s.csv", rows)
    assert form.read(tmp_path / "s.csv") == rows
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0] == "Image_Label,EncodedPixels" and len(lines) == 1 + 12
    assert [line.split(",")[0] for line in lines[1:5]] == [f"b0.jpg_{c}" for c in CLASSES]


def test_the_score_of_a_file_is_that_of_independent_code(made, tmp_path):
    data = dataset(made)
    rows = {s.id: data.submission.encode(data.read_truth(t)) for s, t in zip(data.test, data.train[2:], strict=False)}
    data.submission.write(tmp_path / "s.csv", rows)
    score = score_file(tmp_path / "s.csv", data, MeanDice())
    assert score.value == pytest.approx(independent_score.score(tmp_path / "s.csv", made / "answers.csv"), abs=1e-12)
    assert 0 < score.value < 1


def test_the_truth_scores_one_and_empty_masks_the_share_of_empty_pairs(made, tmp_path):
    data = dataset(made)
    truths = {f"b{i}.jpg": make_image(6 + i)[1][::4, ::4] for i in range(3)}
    data.submission.write(tmp_path / "t.csv", {n: data.submission.encode(m) for n, m in truths.items()})
    assert score_file(tmp_path / "t.csv", data, MeanDice()).value == 1
    data.submission.write(tmp_path / "e.csv", dict.fromkeys(truths, [""] * 4))
    empty = np.mean([not m[..., k].any() for m in truths.values() for k in range(4)])
    assert score_file(tmp_path / "e.csv", data, MeanDice()).value == empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], "ids missing: 1 of 12, first 'b2.jpg_Sugar'"),
        (lambda rows: [*rows, ["b9.jpg_Fish", ""]], "ids not asked for: 1, first 'b9.jpg_Fish'"),
        (lambda rows: [rows[0], *rows], "is also that of line 2"),
    ],
)
def test_a_submission_with_missing_extra_or_repeated_rows_is_refused(made, tmp_path, change, message):
    write_rows(
        tmp_path / "s.csv", change([[id, ""] for id, _ in table({f"b{i}.jpg": make_image(6 + i)[1] for i in range(3)})])
    )
    with pytest.raises(SubmissionError) as error:
        dataset(made).submission.read(tmp_path / "s.csv")
    assert message in str(error.value)


def test_rows_that_do_not_decode_are_all_listed_with_image_and_class(made, tmp_path):
    rows = [[f"b{i}.jpg_{c}", ""] for i in range(3) for c in CLASSES]
    rows[1][1], rows[10][1] = "4 2 3 1", "183750 2"
    write_rows(tmp_path / "s.csv", rows)
    faults = check_file(tmp_path / "s.csv", dataset(made))
    assert (
        len(faults) == 2 and faults[0].startswith("b0.jpg: Flower: run 2") and faults[1].startswith("b2.jpg: Gravel: ")
    )


def test_korean_names_are_compared_composed(tmp_path):
    import unicodedata

    root = folder(tmp_path / "d", train=5, test=2)
    for file in ("train.csv", "sample_submission.csv"):
        path = root / file
        path.write_text(
            path.read_text().replace("a0.jpg", "\uba38.jpg").replace("b0.jpg", "\ub9ac.jpg"), encoding="utf-8"
        )
    answers = (root / "answers.csv").read_text().replace("b0.jpg", unicodedata.normalize("NFD", "\ub9ac.jpg"))
    (root / "answers.csv").write_text(answers, encoding="utf-8")
    for old, new in (("train_images/a0.jpg", "\uba38.jpg"), ("test_images/b0.jpg", "\ub9ac.jpg")):
        (root / old).rename((root / old).with_name(unicodedata.normalize("NFD", new)))
    data = read(root, Settings())
    assert data.problems == [] and len(data.train) == 5 and set(data.answers) == {"\ub9ac.jpg", "b1.jpg"}
    assert all(data.read_image(s).shape == (1400, 2100, 3) for s in (*data.train, *data.test))
