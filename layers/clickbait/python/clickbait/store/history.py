"""The log of predictions, without the images; kept for RETENTION_DAYS.

A row that cannot be written is counted and logged, and never fails a prediction. A day's rows are
in eight partitions of the table, because each accepts only 1,000 writes a second. They are read
newest first across all partitions.
"""

import re
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from itertools import islice, takewhile
from typing import Any, Literal

from clickbait import LABELS, aws
from clickbait.errors import BadRequest
from clickbait.inference.appearance import APPEARANCE
from clickbait.keys import predictions_partition
from clickbait.observability import count, logger
from clickbait.settings import settings

RETENTION_DAYS = 30
"""How long a prediction is kept. DynamoDB deletes it within two days after that."""

SHARDS = 8
"""Partitions of a day: enough for 8,000 predictions a second."""

CONNECT_SECONDS, WRITE_SECONDS = 0.3, 2.0
"""A write takes 5 ms, and on a busy machine now and then a second. After these limits it is given
up."""

FAILURES, PAUSE_SECONDS = 2, 10.0
"""After this many rows in a row that could not be written, no other is tried for this long. The
rows of that time are lost and counted. One failure means little: a connection that was closed while
Lambda had frozen the process, or one slow moment."""

MAX_READ = 10_000
"""The most rows read for one page: 4 MB, 2 s. If a filter matches few of them, the page ends early,
with a cursor to continue from."""

READ_AHEAD = 32
"""The fewest rows of a partition that are read at a time."""

TIME = "%Y-%m-%dT%H:%M:%S.%fZ"

CURSOR = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z#.{1,200}", re.DOTALL)
"""A cursor is the sort key of a row; DynamoDB accepts 1,024 bytes."""

Source = Literal["predict", "batch", "worker"]

_failures = 0
_paused_until = 0.0


def writer() -> Any:
    """The client that writes: it gives up early, after one try."""
    return aws.quick_client("dynamodb", CONNECT_SECONDS, WRITE_SECONDS)


def _write(table: str, item: dict[str, Any]) -> None:
    """Write a row, once more if the connection was closed. A second write changes nothing."""
    from botocore.exceptions import ConnectionClosedError

    try:
        writer().put_item(TableName=table, Item=item)
    except ConnectionClosedError:
        writer().put_item(TableName=table, Item=item)


def log(
    prediction: Mapping[str, Any],
    source: Source,
    batch: str = "",
    request_id: str = "",
    appearance: Mapping[str, float] | None = None,
) -> bool:
    """Store a `prediction` (the fields of `inference.prediction.answer`) and count it.

    `appearance` has the numbers of `inference.appearance`. Counts PredictedClickbait or
    PredictedLegitimate, and PredictedUncertain. Returns False, and counts HistoryWriteFailure, if
    the row could not be written in time. Without a table it only counts. Raises nothing.
    """
    global _failures, _paused_until  # noqa: PLW0603 - one for the process, as the client
    clickbait = prediction["prediction"] == LABELS[1]
    count("PredictedClickbait" if clickbait else "PredictedLegitimate")
    if prediction["uncertain"]:
        count("PredictedUncertain")
    table = settings().table
    if not table:
        return True
    if time.monotonic() < _paused_until:
        count("HistoryWriteFailure")
        return False
    request_id = request_id or prediction.get("request_id") or uuid.uuid4().hex
    try:
        fields = _fields(prediction, source, batch, request_id, appearance or {})
        _write(table, aws.to_item(fields))
        _failures = 0
    except Exception as error:  # The prediction is ready, and worth more than its row.
        _failures += 1
        if _failures >= FAILURES:
            _paused_until = time.monotonic() + PAUSE_SECONDS
        count("HistoryWriteFailure")
        logger.error("prediction not logged", request_id=request_id, reason=repr(error))
        return False
    return True


def _fields(
    prediction: Mapping[str, Any],
    source: str,
    batch: str,
    request_id: str,
    appearance: Mapping[str, float],
) -> dict[str, Any]:
    now = datetime.now(UTC)
    shard = zlib.crc32(request_id.encode()) % SHARDS
    return {
        "pk": predictions_partition(now.date().isoformat(), shard),
        "sk": f"{now.strftime(TIME)}#{request_id}",
        "expires": int((now + timedelta(days=RETENTION_DAYS)).timestamp()),
        "prediction": prediction["prediction"],
        "probability": round(float(prediction["probability"]), 6),
        "uncertain": bool(prediction["uncertain"]),
        "threshold": float(prediction["threshold"]),
        "model_version": prediction["model_version"],
        "sha256": prediction["image"]["sha256"],
        "ms": float(prediction["timing_ms"]["total"]),
        "source": source,
        "batch": batch or None,
        **{name: float(appearance[name]) for name in APPEARANCE if name in appearance},
    }


def page(
    table: str,
    limit: int,
    cursor: str | None = None,
    *,
    prediction: str | None = None,
    day: date | None = None,
    version: str | None = None,
    batch: str | None = None,
) -> tuple[list[dict[str, Any]], str | None]:
    """Up to `limit` predictions older than the one at `cursor`, newest first, and the next cursor.

    Only predictions that match every filter. Rows logged in the meantime neither repeat nor hide a
    row of a later page. After MAX_READ rows the page ends with a cursor, even if it is empty.
    Raises BadRequest for an invalid cursor.
    """
    if cursor is not None and not CURSOR.fullmatch(cursor):
        raise BadRequest("Invalid cursor. Use `next` from the previous page.")

    def wanted(row: Mapping[str, Any]) -> bool:
        return (
            prediction in (None, row["prediction"])
            and version in (None, row["model_version"])
            and batch in (None, row["batch"])
        )

    filtered = any(each is not None for each in (prediction, version, batch))
    ahead = MAX_READ // SHARDS if filtered else limit // SHARDS + READ_AHEAD
    found: list[dict[str, Any]] = []
    for read, (place, row) in enumerate(_rows(table, cursor, day, ahead), 1):
        if wanted(row):
            found.append(row)
        if len(found) == limit or read == MAX_READ:
            return found, place
    return found, None


def recent(table: str, hours: int, most: int) -> list[dict[str, Any]]:
    """The predictions of the last `hours`, at most the newest `most`."""
    since = (datetime.now(UTC) - timedelta(hours=hours)).strftime(TIME)
    newest = islice(_rows(table, None, None, most // SHARDS + 1), most)
    return [row for _, row in takewhile(lambda placed: placed[0] >= since, newest)]


def _rows(
    table: str, cursor: str | None, day: date | None, ahead: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows with their sort keys, newest first, older than `cursor`; of `day`, or of all days."""
    today = datetime.now(UTC).date()
    days = [day] if day else [today - timedelta(days=ago) for ago in range(RETENTION_DAYS + 1)]
    with ThreadPoolExecutor(SHARDS) as pool:
        for one in days:
            if cursor is None or one.isoformat() <= cursor[: len("2026-01-01")]:
                partitions = [predictions_partition(one.isoformat(), n) for n in range(SHARDS)]
                shards = [_Shard(table, partition, cursor, ahead) for partition in partitions]
                list(pool.map(_Shard.fill, shards))
                yield from merge(*shards, key=lambda placed: placed[0], reverse=True)


class _Shard:
    """One partition, newest first, read page by page as needed."""

    def __init__(self, table: str, partition: str, cursor: str | None, ahead: int) -> None:
        self._table, self._partition, self._ahead = table, partition, ahead
        self._after = cursor
        self._items: list[dict[str, Any]] = []

    def fill(self) -> None:
        """Read the next page."""
        self._items, self._after = aws.query_page(
            self._table, self._partition, after=self._after, limit=self._ahead, newest_first=True
        )

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        while True:
            for item in self._items:
                yield item["sk"], _from_fields(item)
            if self._after is None:
                return
            self.fill()


def _from_fields(item: Mapping[str, Any]) -> dict[str, Any]:
    """A prediction as the API returns it, from the fields of its item."""
    at, _, request_id = item["sk"].partition("#")
    names = ("probability", "uncertain", "model_version", "sha256", "ms", "source")
    return {
        "at": at,
        "request_id": request_id,
        "prediction": item["prediction"],
        "is_clickbait": item["prediction"] == LABELS[1],
        **{name: item[name] for name in names},
        "batch": item.get("batch"),
        "threshold": item.get("threshold"),
        "features": {name: item[name] for name in APPEARANCE if name in item} or None,
    }
