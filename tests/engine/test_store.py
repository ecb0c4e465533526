"""The store: equal to reading afresh, whatever dies, fills up or comes twice."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from kagglekit.data.resize import resize_image, resize_mask
from kagglekit.data.store import decode, open_store
from kagglekit.data.store_files import ABSENT, DAMAGED, READY
from kagglekit.errors import DataError
from kagglekit.types import Box, Sample
from tests.toy_data import discs, filled

ROOT = Path(__file__).parent.parent.parent
RAGGED = ((48, 64), (64, 48), (50, 50), (33, 90))

FILL = """
import sys
from pathlib import Path
from kagglekit.data import store as module
from tests.toy_data import discs
module.CHUNK = 4
data = discs(int(sys.argv[2]), delay=float(sys.argv[3]))
store = module.open_store(Path(sys.argv[1]), "fingerprint", data, 32, "binary", 1)
print("filling", flush=True)
store.fill(data, data.train)
print(len(data.reads), flush=True)
"""


def start(cache: Path, count: int, delay: float) -> subprocess.Popen:
    """Another process that fills the store of `count` discs, four at a time."""
    return subprocess.Popen(
        [sys.executable, "-c", FILL, str(cache), str(count), str(delay)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def states(store) -> list[int]:
    return list((store.folder / "state.u8").read_bytes())


def contents(store) -> dict[str, bytes]:
    return {name: (store.folder / name).read_bytes() for name in ("images.raw", "masks.raw", "state.u8")}


@pytest.mark.parametrize("image_size", [32, 64])
def test_reading_the_store_equals_reading_afresh(tmp_path, image_size):
    data = discs(12, RAGGED)
    store = filled(tmp_path, data, image_size)
    for sample, shape in zip(data.train, store.shapes, strict=True):
        image, mask = store.read(sample)
        assert min(shape) == image_size
        assert np.array_equal(image, resize_image(data.read_image(sample), shape))
        assert np.array_equal(mask, resize_mask(data.read_mask(sample), shape, "binary"))


@pytest.mark.parametrize(("task", "planes"), [("binary", 1), ("multilabel", 2), ("multiclass", 1)])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_every_task_and_channel_count_comes_back(tmp_path, task, planes, channels):
    data = discs(5, RAGGED, task=task, channels=channels)
    store = filled(tmp_path, data, 32, classes=2)
    for sample, shape in zip(data.train, store.shapes, strict=True):
        image, mask = store.read(sample)
        fresh = next(decode(data, sample, shape, task, 2))
        assert image.shape == (*shape, channels)
        assert mask.shape == ((*shape, 2) if planes == 2 else shape)
        assert np.array_equal(image, fresh[0])
        assert np.array_equal(mask, fresh[1])


def test_a_box_is_a_window_of_the_stored_image(tmp_path):
    data = discs(3)
    store = filled(tmp_path, data)
    sample = data.train[1]
    image, mask = store.read(sample)
    part, part_mask = store.read(sample, Box(4, 8, 10, 12))
    assert np.array_equal(part, image[4:14, 8:20])
    assert np.array_equal(part_mask, mask[4:14, 8:20])


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_masks_read_instead_of_the_stored_ones_are_cut_like_them(tmp_path, task):
    data = discs(3, task=task)
    store = filled(tmp_path, data, 32, classes=2)
    first, second = data.train[:2]
    shape = (*first.size, 2) if task == "multilabel" else first.size
    mask = np.random.default_rng(0).integers(0, 2, shape).astype(np.uint8)
    changed = store.relabelled({first.id: store.small_label(first, mask)})
    assert np.array_equal(changed.read(first)[1], resize_mask(mask, store.shape(first), task))
    for box in (Box(4, 8, 10, 12), Box(-3, 20, 40, 30)):
        inside = np.s_[max(0, box.top) : box.top + box.height, max(0, box.left) : box.left + box.width]
        part, whole = changed.read(first, box)[1], changed.read(first)[1][inside]
        assert part.shape[:2] == (box.height, box.width) and part.sum() == whole.sum()
        assert np.array_equal(changed.read(first, box)[0], store.read(first, box)[0]), "images stay"
    assert np.array_equal(changed.read(second)[1], store.read(second)[1])
    assert np.array_equal(store.relabelled({}).read(first)[1], store.read(first)[1])


def test_every_image_is_decoded_once_ever(tmp_path):
    data = discs(10)
    store = filled(tmp_path, data)
    assert sorted(data.reads) == [s.id for s in data.train]
    store.fill(data, data.train)
    filled(tmp_path, data)
    assert len(data.reads) == 10


def test_only_what_is_asked_for_is_decoded_and_the_rest_later(tmp_path):
    data = discs(10)
    store = open_store(tmp_path, "f", data, 32, "binary", 1)
    assert states(store) == [ABSENT] * 10
    assert data.reads == []
    store.fill(data, data.train[3:6])
    assert states(store) == [ABSENT] * 3 + [READY] * 3 + [ABSENT] * 4
    store.fill(data, data.train)
    assert len(data.reads) == 10
    assert contents(store) == contents(filled(tmp_path / "other", discs(10)))


def test_what_is_read_cannot_be_written(tmp_path):
    data = discs(2)
    store = filled(tmp_path, data)
    before = contents(store)
    for array in (*store.read(data.train[0]), *store.read(data.train[0], Box(0, 0, 4, 4))):
        assert not array.flags.writeable
        assert not array.flags.owndata
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    assert contents(store) == before


def test_a_store_travels_to_worker_processes_as_names_and_numbers(tmp_path):
    data = discs(4)
    store = filled(tmp_path, data)
    first, mask = data.train[0], np.ones(data.train[0].size, np.uint8)
    store = store.relabelled({first.id: store.small_label(first, mask)})
    store.read(first)
    packed = pickle.dumps(store)
    assert len(packed) < 5000
    again = pickle.loads(packed)  # noqa: S301 - our own bytes
    assert again.read(first)[1].all()
    assert all(np.array_equal(a, b) for a, b in zip(again.read(data.train[2]), store.read(data.train[2]), strict=True))


def test_data_sizes_and_lists_of_samples_have_stores_of_their_own(tmp_path):
    stores = [
        open_store(tmp_path, fingerprint, data, size, data.task, classes)
        for fingerprint, data, size, classes in (
            ("a", discs(4), 32, 1),
            ("b", discs(4), 32, 1),
            ("a", discs(5), 32, 1),
            ("a", discs(4), 64, 1),
            ("a", discs(4, ((48, 96),)), 32, 1),
            ("a", discs(4, channels=1), 32, 1),
            ("a", discs(4, task="multilabel"), 32, 2),
        )
    ]
    assert len({s.folder for s in stores}) == 7
    assert open_store(tmp_path, "a", discs(4), 32, "binary", 1).folder == stores[0].folder


def test_damaged_images_are_reported_remembered_and_not_read_again(tmp_path):
    data = discs(9, damaged=("s002", "s007"))
    store = open_store(tmp_path, "f", data, 32, "binary", 1)
    reasons = {"s002": "s002: this image is broken", "s007": "s007: this image is broken"}
    assert store.fill(data, data.train) == reasons
    assert [i for i, state in enumerate(states(store)) if state == DAMAGED] == [2, 7]
    assert open_store(tmp_path, "f", data, 32, "binary", 1).fill(data, data.train) == reasons
    assert len(data.reads) == 9
    assert store.fill(data, data.train[:2]) == {}
    assert store.fill(data, data.train[2:3]) == {"s002": reasons["s002"]}


def test_damage_found_later_is_added_to_what_is_known(tmp_path):
    data = discs(9, damaged=("s002", "s007"))
    store = open_store(tmp_path, "f", data, 32, "binary", 1)
    store.fill(data, data.train[:5])
    store.fill(data, data.train[5:])
    assert set(json.loads((store.folder / "damaged.json").read_text())) == {"s002", "s007"}


@pytest.mark.parametrize(
    ("image", "mask", "fault"),
    [
        (
            np.zeros((48, 64, 4), np.uint8),
            None,
            r"s000: read_image gave uint8 \(48, 64, 4\); expected uint8 \[H, W, 3\]",
        ),
        (np.zeros((48, 64), np.uint8), None, r"s000: read_image gave uint8 \(48, 64\)"),
        (np.zeros((48, 64, 3), np.float32), None, r"s000: read_image gave float32"),
        (None, np.zeros((64, 48), np.uint8), r"s000: its mask is \(64, 48\), its image asks for \(48, 64\)"),
    ],
)
def test_a_plugin_that_reads_wrong_shapes_is_told_what_was_expected(tmp_path, image, mask, fault):
    data = discs(1)
    if image is not None:
        data.read_image = lambda sample: image
    if mask is not None:
        data.read_mask = lambda sample: mask
    with pytest.raises(DataError, match=fault):
        next(decode(data, data.train[0], (32, 32), "binary", 1))


def test_an_error_that_is_no_fault_of_the_data_stops_the_fill_and_marks_nothing(tmp_path):
    data = discs(5)
    fresh = data.read_mask
    data.read_mask = lambda sample: fresh(sample) if sample.id != "s003" else 1 / 0
    store = open_store(tmp_path, "f", data, 32, "binary", 1)
    with pytest.raises(ZeroDivisionError):
        store.fill(data, data.train)
    assert states(store) == [ABSENT] * 5


def test_a_killed_build_goes_on_and_equals_an_undisturbed_one(tmp_path):
    process = start(tmp_path / "killed", 24, 0.1)
    store = open_store(tmp_path / "killed", "fingerprint", discs(24), 32, "binary", 1)
    deadline = time.monotonic() + 60
    while states(store).count(READY) < 8:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    ready = states(store).count(READY)
    assert 8 <= ready < 24, "the build was to be killed in its middle"
    assert ready % 4 == 0, "chunks are marked whole"

    data = discs(24)
    assert filled(tmp_path / "killed", data).folder == store.folder
    assert len(data.reads) == 24 - ready
    assert contents(store) == contents(filled(tmp_path / "undisturbed", discs(24)))


def test_an_image_is_marked_ready_only_after_its_pixels_are_on_disk(tmp_path, monkeypatch):
    data = discs(6)
    store = open_store(tmp_path, "f", data, 32, "binary", 1)
    events = []

    def spy(name, real):
        def call(handle, *rest):
            events.append((name, Path(f"/proc/self/fd/{handle}").readlink().name))
            return real(handle, *rest)

        monkeypatch.setattr(os, name, call)

    spy("pwrite", os.pwrite)
    spy("fsync", os.fsync)
    store.fill(data, data.train)
    marks = [i for i, event in enumerate(events) if event == ("pwrite", "state.u8")]
    assert len(marks) == 6
    for file in ("images.raw", "masks.raw"):
        writes = [i for i, event in enumerate(events) if event == ("pwrite", file)]
        assert len(writes) == 6
        assert max(writes) < events.index(("fsync", file)) < min(marks)


def test_pixels_that_a_kill_left_half_written_are_written_again(tmp_path):
    data = discs(6)
    store = open_store(tmp_path, "f", data, 32, "binary", 1)
    with (store.folder / "images.raw").open("r+b") as images:
        os.pwrite(images.fileno(), b"\xff" * 5000, 100)
    store.fill(data, data.train)
    assert contents(store) == contents(filled(tmp_path / "other", discs(6)))


def test_two_processes_that_fill_one_store_share_the_work(tmp_path):
    both = [start(tmp_path / "shared", 16, 0.03) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].split() for process in both]
    assert [p.returncode for p in both] == [0, 0]
    counts = [int(output[-1]) for output in outputs]
    assert sum(counts) == 16, "every image is decoded by one of them"
    store = open_store(tmp_path / "shared", "fingerprint", discs(16), 32, "binary", 1)
    assert contents(store) == contents(filled(tmp_path / "alone", discs(16)))


def test_a_disk_that_fills_up_in_the_middle_marks_nothing_ready_that_is_not(tmp_path, monkeypatch):
    from kagglekit.data import store as module

    monkeypatch.setattr(module, "CHUNK", 4)
    data = discs(12)
    store = open_store(tmp_path, "f", data, 32, "binary", 1)
    real, written = os.pwrite, []

    def pwrite(handle, piece, offset):
        if len(piece) > 1:  # pixels, not a state
            written.append(offset)
            if len(written) > 13:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, piece, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(OSError, match="No space left"):
        store.fill(data, data.train)
    assert states(store) == [READY] * 4 + [ABSENT] * 8
    monkeypatch.setattr(os, "pwrite", real)
    assert store.fill(data, data.train) == {}
    assert contents(store) == contents(filled(tmp_path / "other", discs(12)))


def test_writes_that_the_system_cuts_short_are_carried_on(tmp_path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, piece, offset: real(handle, piece[:777], offset))
    short = contents(filled(tmp_path / "short", discs(3)))
    monkeypatch.setattr(os, "pwrite", real)
    assert short == contents(filled(tmp_path / "whole", discs(3)))


def test_a_disk_too_small_is_said_before_anything_is_decoded(tmp_path, monkeypatch):
    import shutil

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 1000, 1000))
    data = discs(12)
    store = open_store(tmp_path, "f", data, 32, "binary", 1)
    with pytest.raises(
        DataError, match=r"the store needs .* MiB are free; free some, set KAGGLEKIT_CACHE .*image_size"
    ):
        store.fill(data, data.train)
    assert data.reads == []
    assert states(store) == [ABSENT] * 12


def test_a_sample_that_the_store_does_not_know_is_not_answered_with_another(tmp_path):
    store = filled(tmp_path, discs(2))
    with pytest.raises(KeyError, match="stranger"):
        store.read(Sample("stranger", Path("/none"), (48, 64)))


def test_filling_reports_every_image_once(tmp_path):
    seen = []

    def track(items, total, description):
        for item in items:
            seen.append((item.id, total, description))
            yield item

    data = discs(7)
    store = open_store(tmp_path, "f", data, 32, "binary", 1)
    store.fill(data, data.train, track)
    store.fill(data, data.train, track)
    assert seen == [(s.id, 7, "decoding images to 32 px") for s in data.train]


def anew(tmp_path, data=None):
    """The data set after the store was opened and filled as another process does it, and what it said."""
    data = data or discs(6)
    return data, open_store(tmp_path, "fingerprint", data, 32, "binary", 1).fill(data, data.train)


@pytest.mark.parametrize("file", ["images.raw", "masks.raw", "sums.u32"])
def test_a_byte_that_changed_on_disk_is_noticed_and_its_image_decoded_anew(tmp_path, file, capsys):
    store = filled(tmp_path, discs(6))
    before, data = contents(store), (store.folder / file).read_bytes()
    place = len(data) // 2 + 3
    (store.folder / file).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    again, lost = anew(tmp_path)
    assert lost == {} and again.reads == ["s003"]
    assert contents(store) == before
    assert "1 images have changed on disk, s003 among them; they are decoded anew" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["images.raw", "masks.raw", "sums.u32", "state.u8"])
@pytest.mark.parametrize("damage", ["cut", "deleted", "emptied"])
def test_a_file_that_was_cut_or_deleted_makes_the_store_anew(tmp_path, file, damage):
    store = filled(tmp_path, discs(6))
    before, path = contents(store), store.folder / file
    if damage == "deleted":
        path.unlink()
    else:
        os.truncate(path, 0 if damage == "emptied" else path.stat().st_size - 5)
    again, lost = anew(tmp_path)
    assert lost == {} and len(again.reads) == 6
    assert contents(store) == before


def test_states_that_no_build_writes_and_damage_without_a_reason_are_looked_at_again(tmp_path):
    store = filled(tmp_path, discs(6))
    before = contents(store)
    (store.folder / "state.u8").write_bytes(bytes([READY, 7, READY, DAMAGED, READY, 255]))
    (store.folder / "damaged.json").write_text('{"s003": "half of')
    again, lost = anew(tmp_path)
    assert lost == {} and sorted(again.reads) == ["s001", "s003", "s005"]
    assert contents(store) == before


def test_what_a_process_has_compared_once_is_not_compared_again(tmp_path, monkeypatch):
    from kagglekit.data.store import Store

    filled(tmp_path, discs(6))
    data, compared = discs(6), []
    store = open_store(tmp_path, "fingerprint", data, 32, "binary", 1)
    monkeypatch.setattr(Store, "_sums", lambda self, s, real=Store._sums: compared.append(s.id) or real(self, s))
    store.fill(data, data.train[:4])
    store.fill(data, data.train)
    assert compared == [s.id for s in data.train]
