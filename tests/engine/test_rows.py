"""CSV files of two columns: what is written is read, pandas agrees, and every fault is told with its line."""

import csv

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import DataError, SubmissionError
from kagglekit.data.codecs.rows import read_rows, read_table, require_ids, whole_number, write_rows

HEADER = ("id", "predicted")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text(',"\r\n a', max_size=6)


def written(folder, data: bytes | str):
    """A file of these contents."""
    path = folder / "rows.csv"
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return path


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(texts, texts, max_size=5))
def test_rows_of_any_text_come_back_in_their_order(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    write_rows(path, HEADER, rows)
    again = read_rows(path, HEADER)
    assert again == rows and list(again) == list(rows)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(texts, texts, max_size=5))
def test_files_of_the_standard_library_read_the_same_and_ours_reads_there(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([HEADER, *rows.items()])
    assert read_rows(path, HEADER) == rows
    write_rows(path, HEADER, rows)
    with path.open(newline="", encoding="utf-8") as stream:
        assert list(csv.reader(stream, strict=True)) == [list(HEADER), *map(list, rows.items())]


def test_files_of_pandas_read_the_same_and_pandas_reads_ours(tmp_path):
    rows = {"a.jpg_Fish": "1 2 5 1", "a.jpg_Sugar": "", 'b "quoted", and more': "7 1"}
    path = tmp_path / "pandas.csv"
    pd.DataFrame(rows.items(), columns=HEADER).replace("", None).to_csv(path, index=False)
    assert read_rows(path, HEADER) == rows
    write_rows(tmp_path / "ours.csv", HEADER, rows)
    assert (tmp_path / "ours.csv").read_bytes() == path.read_bytes()
    again = pd.read_csv(tmp_path / "ours.csv").fillna("")
    assert dict(again.itertuples(index=False)) == rows


def test_values_of_megabytes_are_values_like_any_other(tmp_path):
    rows = {"slide": "1 1 " * 2_000_000, "other": "0 " * 500_000 + "1"}
    write_rows(tmp_path / "rows.csv", HEADER, rows)
    assert read_rows(tmp_path / "rows.csv", HEADER) == rows


def test_line_ends_of_every_system_are_line_ends(tmp_path):
    for end in ("\n", "\r\n", "\r"):
        path = written(tmp_path, end.join(["id,predicted", "a,1 2", "b,"]))
        assert read_rows(path, HEADER) == {"a": "1 2", "b": ""}
        with pytest.raises(SubmissionError, match="line 3: 1 column;"):
            read_rows(written(tmp_path, end.join(["id,predicted", "a,1 2", "b"])), HEADER)


def test_a_file_of_the_header_alone_has_no_rows(tmp_path):
    for end in ("", "\n", "\r\n"):
        assert read_rows(written(tmp_path, f"id,predicted{end}"), HEADER) == {}
    write_rows(tmp_path / "none.csv", HEADER, {})
    assert (tmp_path / "none.csv").read_bytes() == b"id,predicted\n"


FAULTS = {
    b"": "empty file; expected the header id,predicted",
    b"\n": "line 1: header ''; expected 'id,predicted'",
    b"img,pixels\na,1 2\n": "line 1: header 'img,pixels'; expected 'id,predicted'",
    b"predicted,id\na,1 2\n": "line 1: header 'predicted,id'; expected 'id,predicted'",
    b"id, predicted\na,1 2\n": "line 1: header 'id, predicted'; expected 'id,predicted'",
    b"id,predicted,x\na,1 2,3\n": "line 1: header 'id,predicted,x'; expected 'id,predicted'",
    b"a," + b"1 " * 100: f"line 1: header 'a,{'1 ' * 27}1...'; expected 'id,predicted'",
    b"\xef\xbb\xbfid,predicted\na,1 2\n": "line 1: begins with a byte order mark; save it as UTF-8 without one",
    b"id,predicted\na,1 2\nb\n": "line 3: 1 column; expected 2: id,predicted",
    b"id,predicted\na,1,2\n": "line 2: 3 columns; expected 2: id,predicted",
    b"id,predicted\na,1 2\n\nb,3 1\n": "line 3: 0 columns; expected 2: id,predicted",
    b"id,predicted\na,1 2\nb,\na,3 1\n": "line 4: id 'a' is also that of line 2",
    b'id,predicted\na,"1\n2"\nb,\n"b",3\n': "line 5: id 'b' is also that of line 4",
    b'id,predicted\na,"1\n2"\nb,c,d\n': "line 4: 3 columns; expected 2: id,predicted",
    b'id,predicted\na,1\nb,"3 4\nc,5\n': "line 3: unexpected end of data",
    b'id,predicted\na,1\nb,"3" 4\n': "line 3: ',' expected after '\"'",
    b"id,predicted\r\na,1\r\nb\xff,2\r\n": "line 3: not UTF-8 text (byte 0xff)",
    "id,predicted\rä,1\rö,2\r".encode("latin-1"): "line 2: not UTF-8 text (byte 0xe4)",
    "id,predicted\n".encode("utf-16"): "line 1: not UTF-8 text (byte 0xff)",
}


@pytest.mark.parametrize("data", FAULTS, ids=range(len(FAULTS)))
@pytest.mark.parametrize("error", [SubmissionError, DataError])
def test_a_file_of_another_form_is_refused_with_line_and_reason(tmp_path, data, error):
    path = written(tmp_path, data)
    with pytest.raises(error) as caught:
        read_rows(path, HEADER, error)
    assert str(caught.value) == f"{path}: {FAULTS[data]}"


def test_a_fault_far_behind_the_first_buffer_is_told_with_its_line(tmp_path):
    lines = [b"id,predicted", *(b"%d,1 2" % i for i in range(50_000))]
    lines[40_000] = b"\xc3("
    with pytest.raises(SubmissionError, match=r"line 40001: not UTF-8 text \(byte 0xc3\)"):
        read_rows(written(tmp_path, b"\n".join(lines)), HEADER)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(SubmissionError, match=r"nothing\.csv: no such file"):
        read_rows(tmp_path / "nothing.csv", HEADER)
    with pytest.raises(DataError, match=r"nothing\.csv: no such file"):
        read_rows(tmp_path / "nothing.csv", HEADER, error=DataError)


def test_a_folder_instead_of_a_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_rows(tmp_path, HEADER, DataError)


def test_the_expected_ids_in_any_order_are_accepted(tmp_path):
    rows = {"b": "", "a": "1 2"}
    require_ids(tmp_path / "x.csv", rows, ["a", "b"])
    require_ids(tmp_path / "x.csv", rows, iter(["b", "a"]))
    require_ids(tmp_path / "x.csv", {}, [])


def test_missing_and_unknown_ids_are_counted_and_the_first_is_named(tmp_path):
    path = tmp_path / "x.csv"
    expected = [f"{i:07}.jpg_Fish" for i in range(2000)]
    rows = dict.fromkeys(expected, "")
    del rows["0000007.jpg_Fish"], rows["0001234.jpg_Fish"]
    with pytest.raises(SubmissionError) as caught:
        require_ids(path, rows, expected)
    assert str(caught.value) == f"{path}: ids missing: 2 of 2,000, first '0000007.jpg_Fish'"
    rows["0001234.jpg_fish"] = rows["qqq"] = ""
    with pytest.raises(SubmissionError) as caught:
        require_ids(path, rows, expected)
    assert str(caught.value) == (
        f"{path}: ids missing: 2 of 2,000, first '0000007.jpg_Fish'; "
        "ids not asked for: 2, first '0001234.jpg_fish'; did you mean 0001234.jpg_Fish?"
    )


def test_an_unknown_id_that_resembles_none_is_told_the_ids_if_they_are_few(tmp_path):
    with pytest.raises(SubmissionError, match=r"ids not asked for: 1, first 'qqq'; known: hei3, hei4$"):
        require_ids(tmp_path / "x.csv", ["hei3", "hei4", "qqq"], ["hei3", "hei4"])
    many = [f"hei{i}" for i in range(50)]
    with pytest.raises(SubmissionError, match=r"first 'qqq'$"):
        require_ids(tmp_path / "x.csv", [*many, "qqq"], many)


def test_an_old_file_stays_whole_until_the_new_one_is(tmp_path):
    path = tmp_path / "rows.csv"
    write_rows(path, HEADER, {"a": "1 2"})

    class Broken(dict):
        def items(self):
            yield "a", "9 9"
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write_rows(path, HEADER, Broken())
    assert read_rows(path, HEADER) == {"a": "1 2"}
    assert [p.name for p in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize("kind", ["plain", "index", "floats", "utf-16", "semicolons"])
def test_a_table_that_pandas_saved_again_holds_the_same(tmp_path, kind):
    frame = pd.DataFrame(
        {"name": ["\u00e9.tif", "b.tif", "c.tif"], "size": [300, 421, 7], "note": ["a,b", "", 'say "x"']}
    )
    frame = frame.astype({"size": float}) if kind == "floats" else frame
    options = {"encoding": "utf-16"} if kind == "utf-16" else {"sep": ";"} if kind == "semicolons" else {}
    frame.to_csv(tmp_path / "t.csv", index=kind == "index", **options)
    rows = read_table(tmp_path / "t.csv", ("name", "size"))
    assert [(line, row["name"], whole_number(row["size"]), row["note"]) for line, row in rows] == [
        (2, "\u00e9.tif", 300, "a,b"),
        (3, "b.tif", 421, ""),
        (4, "c.tif", 7, 'say "x"'),
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [("300", 300), ("300.0", 300), (" 300 ", 300), ("3e2", 300), ("-1", -1), ("300.5", None), ("", None), ("nan", None),
     ("inf", None), ("1e999", None), ("3OO", None)],
)  # fmt: skip
def test_a_whole_number_is_read_however_it_was_saved(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "empty file"),
        (b"\n\n", "empty file"),
        (b"name\na\n", "column size is missing; expected name, size"),
        (b"name,size,size\na,1,2\n", "column size is twice there; expected name, size"),
        (b"name,size,x\na\n", "line 2: 1 column; expected 3"),
        (b"name,size\n\n\na,1\nb,1,2\n", "line 5: 3 columns; expected 2"),
        (b'name,size\na,"1\n', "line 2: unexpected end of data"),
    ],
)
def test_a_table_of_another_form_is_refused_with_line_and_reason(tmp_path, data, fault):
    with pytest.raises(DataError) as caught:
        read_table(written(tmp_path, data), ("name", "size"))
    assert str(caught.value) == f"{tmp_path / 'rows.csv'}: {fault}"


def test_a_table_that_is_not_there_or_no_file_is_refused_by_name(tmp_path):
    for name, fault in (("none.csv", "no such file"), (".", "cannot be read")):
        with pytest.raises(SubmissionError, match=fault):
            read_table(tmp_path / name, ("a",), SubmissionError)
