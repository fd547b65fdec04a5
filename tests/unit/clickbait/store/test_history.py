"""history: a failed write fails no prediction; rows are read newest first, and none twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from moto import mock_aws

from clickbait import aws
from clickbait.errors import BadRequest, NotFound
from clickbait.inference.appearance import appearance
from clickbait.keys import id_of
from clickbait.settings import Settings
from clickbait.store import history
from tests.cloud import create_buckets, create_table

TABLE = "table"


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with mock_aws():
        create_table(TABLE)
        monkeypatch.setattr(history, "settings", lambda: Settings(table=TABLE))
        monkeypatch.setattr(history, "_paused_until", 0.0)
        monkeypatch.setattr(history, "_failures", 0)
        # Else a page would end early on a busy machine.
        monkeypatch.setattr(history, "SEARCH_SECONDS", float("inf"))
        yield TABLE


def predicted(prediction: str = "clickbait_fake", version: str = "v1") -> dict[str, Any]:
    return {
        "prediction": prediction,
        "probability": 0.91,
        "uncertain": False,
        "threshold": 0.4,
        "model_version": version,
        "image": {"sha256": "a" * 64},
        "timing_ms": {"total": 9.5},
    }


def logged(count: int, day: datetime | None = None, **more: Any) -> list[str]:
    """Log this many rows, and return their ids, oldest first."""
    ids = []
    for n in range(count):
        at = (day or datetime.now(UTC)) + timedelta(milliseconds=n)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(history, "datetime", type("Clock", (), {"now": lambda _, at=at: at}))
            ids.append(f"id-{at:%d}-{n}")
            assert history.log(predicted(**more), "predict", request_id=ids[-1])
    return ids


def everything(limit: int, **filters: Any) -> list[str]:
    rows, cursor, ids = [], None, []
    while True:
        rows, cursor = history.page(TABLE, limit, cursor, **filters)
        ids += [row["request_id"] for row in rows]
        if cursor is None:
            return ids


def test_a_row_has_the_prediction_but_no_image_and_expires_in_30_days() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    numbers = appearance(pixels)
    before = datetime.now(UTC)
    made = history.log(predicted() | {"request_id": "r1"}, "worker", "holiday", appearance=numbers)
    ((row,), cursor) = history.page(TABLE, 10)
    assert cursor is None
    at = datetime.fromisoformat(row.pop("at"))
    assert before <= at <= datetime.now(UTC)
    assert row == {
        "id": made,
        "request_id": "r1",
        "prediction": "clickbait_fake",
        "is_clickbait": True,
        "probability": 0.91,
        "uncertain": False,
        "model_version": "v1",
        "sha256": "a" * 64,
        "ms": 9.5,
        "source": "worker",
        "batch": "holiday",
        "file": None,
        "key": None,
        "threshold": 0.4,
        "features": numbers,
    }
    (item,) = aws.client("dynamodb").scan(TableName=TABLE)["Items"]
    assert item["pk"]["S"].startswith(f"prediction#{at.date()}#")
    assert int(item["expires"]["N"]) == pytest.approx(at.timestamp() + 30 * 86_400, abs=5)


def test_pages_go_newest_first_through_shards_and_days_and_miss_nothing() -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    older = logged(15, today - timedelta(days=3))
    newer = logged(25, today)
    assert everything(limit=7) == [*reversed(newer), *reversed(older)]
    used = {i["pk"]["S"] for i in aws.client("dynamodb").scan(TableName=TABLE)["Items"]}
    assert len({pk.rsplit("#", 1)[1] for pk in used}) > 3


def test_a_page_is_the_same_whatever_is_logged_in_the_meantime() -> None:
    ids = logged(20, datetime.now(UTC) - timedelta(hours=1))
    first, cursor = history.page(TABLE, 10)
    logged(5)
    second, _ = history.page(TABLE, 10, cursor)
    assert [row["request_id"] for row in first + second] == list(reversed(ids))


@pytest.mark.parametrize(
    "cursor", ["", "x", "2026-11-22", "2026-11-22T10:00:00.000001Z#" + "x" * 1_100]
)
def test_an_invented_cursor_is_refused_before_the_table_is_read(cursor: str) -> None:
    with pytest.raises(BadRequest):
        history.page(TABLE, 10, cursor)


def test_a_page_can_be_filtered_by_class_verdict_day_version_batch_and_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "RETENTION_DAYS", 2)  # Each day is eight queries.
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    logged(4, today - timedelta(days=1))
    real = logged(3, today, prediction="clickbait_real")
    second = logged(2, today + timedelta(seconds=1), version="v2")
    history.log(predicted() | {"request_id": "b"}, "worker", "holiday")
    history.log(predicted() | {"request_id": "u", "uncertain": True}, "batch")
    assert everything(2, prediction="clickbait_real") == list(reversed(real))
    assert everything(2, verdict="legitimate") == list(reversed(real))
    assert everything(2, verdict="unsure") == everything(2, source="batch") == ["u"]
    assert "u" not in everything(20, verdict="clickbait")
    assert len(everything(20, verdict="clickbait")) == 7
    assert everything(2, source="worker") == ["b"]
    assert everything(2, version="v2") == list(reversed(second))
    assert everything(2, batch="holiday") == ["b"]
    assert len(everything(2, day=(today - timedelta(days=1)).date())) == 4
    assert everything(2, day=(today - timedelta(days=9)).date()) == []


def test_a_rare_match_ends_the_page_early_and_the_cursor_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    rare = logged(1, today, version="v2")
    logged(30, today + timedelta(seconds=1))
    monkeypatch.setattr(history, "MAX_READ", 16)
    monkeypatch.setattr(history, "RETENTION_DAYS", 2)
    rows, cursor = history.page(TABLE, 5, version="v2")
    assert rows == []
    assert cursor is not None
    assert everything(5, version="v2") == rare


def test_a_long_search_ends_with_a_day_and_the_cursor_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "SEARCH_SECONDS", -1.0)
    monkeypatch.setattr(history, "RETENTION_DAYS", 3)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    older = logged(3, today - timedelta(days=2))
    newer = logged(3, today)
    rows, cursor = history.page(TABLE, 10)
    assert [row["request_id"] for row in rows] == newer[::-1]
    assert cursor is not None
    assert history.time_of(cursor) == f"{today - timedelta(days=1):%Y-%m-%d}T23:59:59.999999Z"
    assert everything(10) == [*newer[::-1], *older[::-1]]


def test_pages_that_begin_before_midnight_go_on_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    midnight = datetime(2026, 10, 25, tzinfo=UTC)
    before = logged(30, midnight - timedelta(milliseconds=15))  # 15 on each side
    monkeypatch.setattr(history, "datetime", type("Clock", (), {"now": lambda _: midnight}))
    rows, cursor = history.page(TABLE, 10)
    after = logged(5, midnight + timedelta(milliseconds=20))
    later = midnight + timedelta(seconds=1)
    monkeypatch.setattr(history, "datetime", type("Clock", (), {"now": lambda _: later}))
    ids = [row["request_id"] for row in rows]
    while cursor:
        rows, cursor = history.page(TABLE, 10, cursor)
        ids += [row["request_id"] for row in rows]
    assert ids == before[::-1]
    newest = [row["request_id"] for row in history.recent(TABLE, 1, 1_000)]
    assert newest == after[::-1] + before[::-1]


def test_recent_predictions_are_from_the_last_hours_and_limited() -> None:
    logged(3, datetime.now(UTC) - timedelta(hours=30))
    ids = logged(5, datetime.now(UTC) - timedelta(hours=3))
    assert [r["request_id"] for r in history.recent(TABLE, 24, 100)] == list(reversed(ids))
    assert len(list(history.recent(TABLE, 24, 2))) == 2


def test_a_long_history_is_read_in_small_pages_as_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = logged(60, datetime.now(UTC) - timedelta(hours=3))
    limits: list[int] = []
    read = aws.query_page

    def noted(*given: Any, limit: int, **more: Any) -> Any:
        limits.append(limit)
        return read(*given, limit=limit, **more)

    monkeypatch.setattr(aws, "query_page", noted)
    monkeypatch.setattr(history, "MOST_AHEAD", 2)
    rows = history.recent(TABLE, 24, 10_000)
    assert next(rows)["request_id"] == ids[-1]
    at_first = len(limits)
    assert at_first % history.SHARDS == 0, "one page of each partition, of each day that has begun"
    assert [row["request_id"] for row in rows] == ids[-2::-1]
    assert set(limits) == {2}
    assert len(limits) > at_first
    everything, _ = history.page(TABLE, 60, source="predict")
    assert len(everything) == 60
    assert set(limits) == {2}


def test_each_prediction_has_an_id_that_finds_it_again() -> None:
    made = {
        name: history.log(predicted() | {"request_id": name}, "predict") for name in ("r1", "r#2")
    }
    for name, one in made.items():
        assert one is not None
        assert history.get(TABLE, one)["request_id"] == name
    (first, second), _ = history.page(TABLE, 2)
    assert {first["id"], second["id"]} == set(made.values())


@pytest.mark.parametrize(
    "name", ["", "x", "!", id_of("2026-11-22"), id_of("2026-11-22T10:00:00.000001Z#gone")]
)
def test_an_id_that_no_prediction_has_is_not_found(name: str) -> None:
    with pytest.raises(NotFound, match="30 days"):
        history.get(TABLE, name)


def test_an_image_belongs_to_a_prediction_unless_it_was_replaced_or_deleted() -> None:
    create_buckets("data")
    s3 = aws.client("s3")
    at = datetime.now(UTC)

    def image_of(key: str | None, made: datetime) -> str | None:
        return history.image_of("data", {"key": key, "at": f"{made:{history.TIME}}"})

    key = f"inbox/monday/{'a' * 32}.jpg"
    assert image_of(key, at) is None  # deleted
    s3.put_object(Bucket="data", Key=key, Body=b"x")
    later, earlier = at + timedelta(minutes=1), at - timedelta(minutes=1)
    assert image_of(key, later) == key
    assert image_of(key, earlier) is None  # replaced since
    assert image_of(None, later) is None
    assert history.image_of("", {"key": key, "at": f"{later:{history.TIME}}"}) is None
    kept = f"review/2026-11-22/{'a' * 64}"
    s3.put_object(Bucket="data", Key=kept, Body=b"x")
    assert image_of(kept, earlier) == kept  # The same bytes: the key is their digest.


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(history, "count", lambda name, value=1: names.extend([name] * value))
    return names


class Table:
    """A stand-in for the client: raises the next of `faults`, and writes if it is None."""

    def __init__(self, *faults: Exception | None) -> None:
        self.faults = list(faults)
        self.written = 0

    def put_item(self, **_: Any) -> None:
        fault = self.faults.pop(0) if self.faults else None
        if fault:
            raise fault
        self.written += 1


def test_a_failed_write_fails_no_prediction_and_every_lost_row_is_counted(
    monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    table = Table(*[RuntimeError("throttled")] * 2)
    monkeypatch.setattr(history, "writer", lambda: table)
    results = [history.log(predicted(), "predict") for _ in range(4)]
    assert results == [None] * 4
    assert counted.count("HistoryWriteFailure") == 4
    assert table.faults == [] and table.written == 0  # The last two were not tried: the pause.


def test_one_slow_moment_loses_one_row_and_no_other(
    monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    slow = ReadTimeoutError(endpoint_url="table")
    table = Table(slow, None, slow, None)
    monkeypatch.setattr(history, "writer", lambda: table)
    results = [history.log(predicted(), "predict") for _ in range(6)]
    assert [one is not None for one in results] == [False, True, False, True, True, True]
    assert counted.count("HistoryWriteFailure") == 2


def test_a_connection_that_was_closed_while_the_process_was_frozen_loses_no_row(
    monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    table = Table(ConnectionClosedError(endpoint_url="table"), None)
    monkeypatch.setattr(history, "writer", lambda: table)
    assert history.log(predicted(), "predict")
    assert table.written == 1
    assert "HistoryWriteFailure" not in counted


def test_a_store_that_answers_within_two_seconds_loses_no_row() -> None:
    config = history.writer().meta.config
    assert config.read_timeout >= 2
    assert config.retries["total_max_attempts"] == 1


def test_a_store_that_cannot_be_reached_holds_up_a_prediction_for_less_than_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An address that neither accepts nor refuses connections (TEST-NET-1, RFC 5737).
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://192.0.2.1:9")
    assert history.writer().meta.config.connect_timeout < 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moto.core.models.botocore_stubber.enabled", False)
        assert not history.log(predicted(), "predict")


def test_without_a_table_nothing_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "settings", Settings)
    monkeypatch.setattr(history, "writer", lambda: pytest.fail("there is no table"))
    assert history.log(predicted(), "predict") is None


def test_each_prediction_is_counted_by_its_class(
    monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    monkeypatch.setattr(history, "settings", Settings)
    history.log(predicted("clickbait_fake"), "predict")
    history.log(predicted("clickbait_real") | {"uncertain": True}, "worker")
    assert counted == ["PredictedClickbait", "PredictedLegitimate", "PredictedUncertain"]


class BusyTable:
    """A stand-in for the client: each call writes `share` rows and leaves the others."""

    def __init__(self, share: int) -> None:
        self.share = share
        self.ids: list[str] = []

    def batch_write_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        ((table, puts),) = RequestItems.items()
        for put in puts[: self.share]:
            self.ids.append(put["PutRequest"]["Item"]["sk"]["S"].partition("#")[2])
        return {"UnprocessedItems": {table: puts[self.share :]} if puts[self.share :] else {}}


def entries(number: int) -> list[history.Entry]:
    return [history.Entry(predicted(), {}, f"id-{n}") for n in range(number)]


def test_predictions_of_one_call_are_all_stored_and_counted(counted: list[str]) -> None:
    made = history.log_all(entries(60), "worker", "holiday")
    assert [history.get(TABLE, str(each))["request_id"] for each in made] == [
        f"id-{n}" for n in range(60)
    ]
    assert len(everything(100, batch="holiday")) == 60
    assert counted == ["PredictedClickbait"] * 60


def test_images_of_one_request_have_rows_of_their_own() -> None:
    same = [history.Entry(predicted(), {}, "r1", at=datetime.now(UTC))]
    same.append(history.Entry(predicted(), {}, "r1", at=same[0].at + timedelta(microseconds=1)))
    assert len(set(history.log_all(same, "batch"))) == 2
    assert everything(10) == ["r1", "r1"]


def test_rows_that_a_busy_table_leaves_are_written_again_and_none_twice(
    monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    table = BusyTable(4)
    monkeypatch.setattr(history, "writer", lambda: table)
    monkeypatch.setattr(aws, "BUSY_SECONDS", 0.0)
    assert None not in history.log_all(entries(10), "worker")
    assert table.ids == [f"id-{n}" for n in range(10)]
    assert "HistoryWriteFailure" not in counted


def test_rows_that_a_busy_table_never_takes_are_counted(
    monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    table = BusyTable(2)
    monkeypatch.setattr(history, "writer", lambda: table)
    monkeypatch.setattr(aws, "BUSY_SECONDS", 0.0)
    lost = 10 - 2 * aws.BUSY_ATTEMPTS
    made = history.log_all(entries(10), "worker")
    assert [each is None for each in made] == [False] * (10 - lost) + [True] * lost
    assert counted.count("HistoryWriteFailure") == lost
