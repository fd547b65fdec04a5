"""results: one row for each object, even if delivered twice; files that any reader can read."""

import csv
import io
import json
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickbait import LABELS, aws
from clickbait.errors import Unavailable
from clickbait.store import results
from clickbait.store import rows as rows_module
from clickbait.store.results import COLUMNS, Row, Selection, csv_lines, safe
from clickbait.store.rows import Rows
from tests.cloud import TABLE, cloud_in_memory

BUCKET, BATCH = "data", "b"
AT = "2026-11-22T20:00:00.000+00:00"


def predicted(name: str, file: str = "", **changes: Any) -> Row:
    fields: dict[str, Any] = {
        "etag": "e1",
        "modified": AT,
        "prediction": LABELS[1],
        "probability": 0.8125,
        "confidence": 0.8125,
        "uncertain": False,
        "model_version": "20260101-000000-abcdef",
        "threshold": 0.5,
    }
    return Row(name, file or name, AT, **(fields | changes))


def failed(name: str, error: str = "The JPEG does not decode.", **changes: Any) -> Row:
    return Row(name, name, AT, **({"etag": "e1", "modified": AT, "error": error} | changes))


@pytest.fixture
def rows() -> Iterator[Rows]:
    with cloud_in_memory(BUCKET):
        yield Rows(TABLE, BATCH)


def body(key: str) -> bytes:
    data: bytes = aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return data


def parsed(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


# --- rows ----------------------------------------------------------------------------------------


def test_a_row_is_read_as_it_was_written(rows: Rows) -> None:
    written = [failed("a.jpg"), predicted("b.jpg", 'a name, "quoted"\n= é 😀'), predicted("c")]
    for row in written:
        assert rows.put(row) == "new"
    assert list(rows.read()) == written


def test_the_same_object_has_one_row_whichever_model_predicts_it_again(rows: Rows) -> None:
    first = predicted("a.jpg")
    assert rows.put(first) == "new"
    assert rows.put(first) == "again"
    assert rows.put(predicted("a.jpg", model_version="20270101-000000-abcdef")) == "again"
    assert list(rows.read()) == [first]


def test_a_newer_object_of_the_same_name_replaces_the_row_and_an_older_one_does_not(
    rows: Rows,
) -> None:
    newer, older = "2026-11-22T20:00:09+00:00", "2026-11-22T20:00:01+00:00"
    rows.put(failed("a.jpg", modified="2026-11-22T20:00:05+00:00"))
    assert rows.put(predicted("a.jpg", etag="e2", modified=newer)) == "replaced"
    assert rows.put(predicted("a.jpg", etag="e3", modified=older)) == "again"
    (row,) = rows.read()
    assert (row.etag, row.error) == ("e2", None)


def test_rows_of_missing_files_do_not_replace_existing_rows(rows: Rows) -> None:
    there = predicted("00001.x")
    rows.put(there)
    missing = [Row(f"{i:05d}.x", f"{i}.jpg", AT, error="missing") for i in range(3)]
    assert rows.put_missing(missing) == 2
    assert list(rows.read()) == [missing[0], there, missing[2]]
    assert rows.put_missing(missing) == 0


def test_a_busy_table_is_reported_and_written_rows_stay(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "PAUSE_SECONDS", 0)
    error = aws.client("dynamodb").exceptions.TransactionCanceledException(
        {"Error": {"Code": "T"}, "CancellationReasons": [{"Code": "TransactionConflict"}]}, "x"
    )

    def busy(**_: Any) -> None:
        raise error

    monkeypatch.setattr(aws.client("dynamodb"), "transact_write_items", busy)
    with pytest.raises(Unavailable, match="Try again"):
        rows.put_missing([failed("a")])


def test_a_page_begins_after_the_last_row_of_the_page_before(rows: Rows) -> None:
    for i in range(7):
        rows.put(predicted(f"{i}"))
    assert [row.name for row in rows.read(after="2", limit=2)] == ["3", "4", "5", "6"]
    other = Rows(TABLE, "other")
    assert list(other.read()) == []


# --- CSV -----------------------------------------------------------------------------------------


def test_the_columns_are_those_of_the_contract() -> None:
    text = b"".join(csv_lines([predicted("a.jpg"), failed("b.jpg")])).decode()
    assert text == (
        "file,prediction,is_clickbait,probability,confidence,uncertain,model_version,error,"
        "threshold,verdict\r\n"
        "a.jpg,clickbait_fake,true,0.8125,0.8125,false,20260101-000000-abcdef,,0.5,clickbait\r\n"
        "b.jpg,,,,,,,The JPEG does not decode.,,\r\n"
    )


def test_without_rows_the_csv_is_a_header() -> None:
    assert b"".join(csv_lines([])) == (",".join(COLUMNS) + "\r\n").encode()


@pytest.mark.parametrize(
    "first",
    [
        "=",
        "+",
        "-",
        "@",
        "\t",
        "\r",
        "\n",
        "\uff1d",
        "\uff0b",
        "\uff0d",
        "\uff20",
        "'=",
        "''+",
        "'\uff1d",
    ],
)
def test_cells_that_a_spreadsheet_would_calculate_are_written_as_text(first: str) -> None:
    assert safe(f"{first}1+1") == f"'{first}1+1"


@pytest.mark.parametrize("cell", ["", "a", "a=1", "'a", "1", "é", " =1"])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert safe(cell) == cell


def unsafe(cell: str) -> str:
    """Remove the added apostrophe, as the documentation says."""
    escaped = cell.startswith("'") and cell.lstrip("'").startswith(results.FORMULA)
    return cell[1:] if escaped else cell


# No lone surrogates, because JSON and S3 take only text that can be encoded.
NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.text("=+-@\uff1d\uff0b\uff0d\uff20\t\r\n,;'\" aé😀", min_size=1, max_size=12),
)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=5))
def test_any_name_can_be_restored_from_the_csv_and_no_cell_is_a_formula(
    pairs: list[tuple[str, str]],
) -> None:
    rows = [failed(name, error) for name, error in pairs]
    data = b"".join(csv_lines(rows))
    read = parsed(data)
    assert [(unsafe(row["file"]), unsafe(row["error"])) for row in read] == pairs
    for row in read:
        assert not any(cell.startswith(results.FORMULA) for cell in row.values())


def opened(text: str, separator: str) -> list[list[str]]:
    """The cells that a spreadsheet shows: quotes count only at the beginning of a cell, and each
    of CRLF, CR and LF ends a row. Written apart from Python's reader, whose rules are stricter."""
    rows, row, at = [], [], 0
    while at < len(text):
        if text[at] == '"':
            end = at + 1
            while text[end] != '"' or text[end + 1 : end + 2] == '"':
                end += 2 if text[end] == '"' else 1
            cell, at = text[at + 1 : end].replace('""', '"'), end + 1
        else:
            end = at
            while end < len(text) and text[end] not in f"{separator}\r\n":
                end += 1
            cell, at = text[at:end], end
        row.append(cell)
        if text[at : at + 1] != separator:
            at += 2 if text[at : at + 2] == "\r\n" else 1
            rows.append(row)
            row = []
        else:
            at += 1
    return rows


def runs(cell: str) -> bool:
    """Whether a spreadsheet runs `cell`: it drops leading white space that is no space, and takes
    full-width signs for the usual ones."""
    return unicodedata.normalize("NFKC", cell.lstrip("\t\r\n")).startswith(("=", "+", "-", "@"))


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_a_spreadsheet_shows_each_name_in_one_cell_and_runs_none(names: list[str]) -> None:
    text = b"".join(csv_lines([failed(name, "It is empty.") for name in names])).decode()
    _, *rows = opened(text, ",")
    assert [unsafe(row[0]) for row in rows] == names
    assert not any(runs(cell) for row in rows for cell in row)
    for separator in results.OTHER_SEPARATORS:  # Where a decimal comma is used.
        assert not any(runs(cell) for row in opened(text, separator) for cell in row)


@given(NAMES)
def test_a_semicolon_does_not_split_a_name_if_semicolons_separate_cells(name: str) -> None:
    """Excel splits at semicolons in countries that use a decimal comma."""
    data = b"".join(csv_lines([failed(f"a;{name}")])).decode()
    (_, row) = csv.reader(io.StringIO(data, newline=""), delimiter=";")
    assert row[0].startswith(f"a;{name}")


def test_numbers_and_booleans_have_the_form_that_programs_read(rows: Rows) -> None:
    row = predicted("a", probability=1e-07, confidence=0.98765432, uncertain=True)
    (read,) = parsed(b"".join(csv_lines([row])))
    assert (read["probability"], read["confidence"]) == ("0.0", "0.9877")
    assert (read["is_clickbait"], read["uncertain"]) == ("true", "true")
    assert read["verdict"] == "unsure"


def test_a_byte_order_mark_comes_only_by_choice() -> None:
    plain, marked = (b"".join(csv_lines([predicted("a")], bom)) for bom in (False, True))
    assert marked == "\ufeff".encode() + plain


def test_a_row_is_in_the_selection_of_its_verdict_or_of_failures() -> None:
    rows = [
        predicted("a"),
        predicted("b", prediction="clickbait_real"),
        predicted("c", uncertain=True),
        failed("d"),
    ]
    selections: tuple[Selection, ...] = ("clickbait", "legitimate", "unsure", "failed")
    for selection, name in zip(selections, "abcd", strict=True):
        assert [row.name for row in rows if row.is_in(selection)] == [name]


def test_csv_at_the_limit_is_returned_whole_and_one_byte_more_is_not() -> None:
    rows = [predicted('a"b')]
    whole = b"".join(csv_lines(rows))
    carried = sum(
        len(json.dumps(part.decode(), ensure_ascii=False).encode()) for part in csv_lines(rows)
    )
    assert carried > len(whole)
    assert results.csv_within(rows, carried) == whole
    assert results.csv_within(rows, carried - 1) is None


# --- files ---------------------------------------------------------------------------------------


def test_results_are_written_in_parts_and_as_one_csv(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PART_ROWS", 3)
    written = [predicted(f"{i}") for i in range(4)] + [failed("9")]
    results.write(BUCKET, BATCH, iter(written))
    parts = [body(f"results/b/part-0000{i}.jsonl") for i in range(2)]
    lines = [json.loads(line) for part in parts for line in part.splitlines()]
    assert [len(part.splitlines()) for part in parts] == [3, 2]
    assert lines == [row.as_dict() for row in written]
    assert list(lines[0]) == list(COLUMNS)
    assert body("results/b/results.csv") == b"".join(csv_lines(written))


def test_rows_that_fill_their_parts_leave_no_empty_part(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PART_ROWS", 2)
    results.write(BUCKET, BATCH, [predicted(f"{i}") for i in range(4)])
    found = aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [one["Key"] for one in found] == [
        "results/b/part-00000.jsonl", "results/b/part-00001.jsonl", "results/b/results.csv",
    ]  # fmt: skip


def test_many_rows_are_written_while_they_are_read(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CSV of several parts, whose first part is sent before the last row is read."""
    sent: list[int] = []
    read = 0

    def many() -> Iterator[Row]:
        nonlocal read
        for i in range(30_000):
            read = i + 1
            yield failed(f"{i:05d}", "x" * 400)

    s3 = aws.client("s3")
    s3.meta.events.register("before-call.s3.UploadPart", lambda **_: sent.append(read))
    results.write(BUCKET, BATCH, many())
    assert len(sent) == 2
    assert sent[0] < 25_000
    data = body("results/b/results.csv")
    assert len(data) > results.CSV_PART
    assert data.count(b"\r\n") == 30_001
    assert body("results/b/part-00029.jsonl").count(b"\n") == 1_000
