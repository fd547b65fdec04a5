"""rows: many are written in one call, none twice, and the caller learns which."""

from collections.abc import Iterator

import pytest

from clickbait import aws
from clickbait.store.results import Row
from clickbait.store.rows import Rows
from tests.cloud import TABLE, cloud_in_memory


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with cloud_in_memory(sharing=monkeypatch):
        yield


def row(name: str, etag: str = "1") -> Row:
    return Row(name, name, "2026-11-27T00:00:00.000+00:00", etag, "2026", error="It's broken.")


def test_more_rows_than_a_call_takes_are_all_written() -> None:
    rows = Rows(TABLE, "b")
    given = [row(f"{n:03d}") for n in range(2 * aws.MAX_INSERTS + 1)]
    assert rows.put_new(given) == [True] * len(given)
    assert list(rows.read()) == given


def test_a_row_that_exists_stays_and_is_reported() -> None:
    rows = Rows(TABLE, "b")
    rows.put(row("a"))
    assert rows.put_new([row("a", "2"), row("b"), row("b", "2")]) == [False, True, False]
    assert [each.etag for each in rows.read()] == ["1", "1"]


def test_a_row_for_which_the_table_is_too_busy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "insert_items", lambda *_: ["", "ThrottlingError"])
    assert Rows(TABLE, "b").put_new([row("a"), row("b")]) == [True, False]
