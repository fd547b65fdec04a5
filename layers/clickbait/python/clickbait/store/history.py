"""The log of predictions, without the images; kept for RETENTION_DAYS.

A row that cannot be written is counted and logged, and never fails a prediction. A day's rows are
in eight partitions of the table, because each accepts only 1,000 writes a second. They are read
newest first across all partitions. The id of a row names its partition, so one row is one read. A
row names the object that the image was read from, if there was one; S3 deletes most of them before
the row.
"""

import re
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from itertools import chain, islice, takewhile
from typing import Any, Literal

from clickbait import LABELS, Verdict, aws, verdict_of
from clickbait.errors import BadRequest, NotFound
from clickbait.inference.appearance import APPEARANCE
from clickbait.keys import REVIEW, id_of, key_of_id, predictions_partition
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

SEARCH_SECONDS = 10.0
"""A page ends with the day that it reads after this time, with a cursor to continue from. A day
takes eight calls even if it is empty, which a busy emulator answers slowly."""

READ_AHEAD, MOST_AHEAD = 32, 250
"""The fewest and the most rows of a partition that are read at a time. A row takes 6 KB while it is
read, and a process keeps what it once took: all 10,000 of a day at a time cost 60 MB."""

TIME = "%Y-%m-%dT%H:%M:%S.%fZ"

FIELDS: dict[str, type] = {
    **{"prediction": str, "probability": float, "uncertain": bool, "model_version": str},
    **{"sha256": str, "ms": float, "source": str},
}
"""The fields that every row has, and their types."""
OPTIONAL: dict[str, type] = {
    **dict.fromkeys(("batch", "file", "key"), str),
    **dict.fromkeys((*APPEARANCE, "threshold"), float),
}

CURSOR = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z#.{1,200}", re.DOTALL)
"""A cursor is the sort key of a row; DynamoDB accepts 1,024 bytes."""

CLOCKS = timedelta(seconds=2)
"""By how much the clocks of S3 and of a function may differ."""

LAST = "\U0010ffff"
"""Sorts after every request id."""

Source = Literal["predict", "batch", "worker"]

_failures = 0
_paused_until = 0.0


def writer() -> Any:
    """The client that writes: it gives up early, after one try."""
    return aws.quick_client("dynamodb", CONNECT_SECONDS, WRITE_SECONDS)


@dataclass(frozen=True, slots=True)
class Entry:
    """A prediction to log. Create it right after the prediction, because it has its time."""

    prediction: Mapping[str, Any]
    """The fields of `inference.prediction.answer`."""
    appearance: Mapping[str, float]
    """The numbers of `inference.appearance`."""
    request_id: str = ""
    """By default that of the prediction, or a new one. Images of one request have the same."""
    file: str = ""
    """The name of a file in a batch."""
    key: str = ""
    """The object in the data bucket that has the image, if one has."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def log(
    prediction: Mapping[str, Any],
    source: Source,
    batch: str = "",
    request_id: str = "",
    appearance: Mapping[str, float] | None = None,
    *,
    file: str = "",
    key: str = "",
) -> str | None:
    """Store one prediction as `log_all` does; returns the id of the row, or None."""
    return log_all([Entry(prediction, appearance or {}, request_id, file, key)], source, batch)[0]


def log_all(entries: Sequence[Entry], source: Source, batch: str = "") -> list[str | None]:
    """Store predictions, many in one call, and count them; returns the ids of their rows.

    Counts PredictedClickbait or PredictedLegitimate, and PredictedUncertain. The id is None, and
    HistoryWriteFailure is counted, if the row could not be written in time. Without a table this
    only counts. Raises nothing.
    """
    global _failures, _paused_until  # noqa: PLW0603 - one for the process, as the client
    for entry in entries:
        clickbait = entry.prediction["prediction"] == LABELS[1]
        count("PredictedClickbait" if clickbait else "PredictedLegitimate")
        if entry.prediction["uncertain"]:
            count("PredictedUncertain")
    table = settings().table
    if not table or not entries:
        return [None] * len(entries)
    ids: dict[int, str] = {}
    reason = ""
    if time.monotonic() >= _paused_until:
        try:
            rows = [_fields(entry, source, batch) for entry in entries]
            for begin in range(0, len(rows), aws.MAX_PUTS):
                part = rows[begin : begin + aws.MAX_PUTS]
                left = _write(table, part)
                for place, row in enumerate(part, begin):
                    if row["sk"] not in left:
                        ids[place] = id_of(row["sk"])
            reason = "The table is busy."
        except Exception as error:  # The predictions are ready, and worth more than their rows.
            reason = repr(error)
    lost = len(entries) - len(ids)
    if lost:
        count("HistoryWriteFailure", lost)
    else:
        _failures = 0
    if lost and reason:
        _failures += 1
        if _failures >= FAILURES:
            _paused_until = time.monotonic() + PAUSE_SECONDS
        logger.error("predictions not logged", rows=lost, source=source, reason=reason)
    return [ids.get(place) for place in range(len(entries))]


def _write(table: str, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Write at most MAX_PUTS rows; returns the sort keys of those that a busy table left out."""
    puts = [{"PutRequest": {"Item": aws.to_item(row)}} for row in rows]
    if len(puts) == 1:
        _call("put_item", TableName=table, **puts[0]["PutRequest"])
        return set()
    for attempt in range(aws.BUSY_ATTEMPTS):
        time.sleep(attempt * aws.BUSY_SECONDS)
        answer = _call("batch_write_item", RequestItems={table: puts})
        puts = answer.get("UnprocessedItems", {}).get(table, [])
        if not puts:
            break
    return {put["PutRequest"]["Item"]["sk"]["S"] for put in puts}


def _call(operation: str, **given: Any) -> Any:
    """Call DynamoDB, once more if the connection was closed. A second write changes nothing."""
    from botocore.exceptions import ConnectionClosedError

    try:
        return getattr(writer(), operation)(**given)
    except ConnectionClosedError:
        return getattr(writer(), operation)(**given)


def _fields(entry: Entry, source: str, batch: str) -> dict[str, Any]:
    prediction, of = entry.prediction, entry.appearance
    request_id = entry.request_id or prediction.get("request_id") or uuid.uuid4().hex
    place = f"{entry.at.strftime(TIME)}#{request_id}"
    return {
        "pk": _partition_of(place),
        "sk": place,
        "expires": int((entry.at + timedelta(days=RETENTION_DAYS)).timestamp()),
        "prediction": prediction["prediction"],
        "probability": round(float(prediction["probability"]), 6),
        "uncertain": bool(prediction["uncertain"]),
        "threshold": float(prediction["threshold"]),
        "model_version": prediction["model_version"],
        "sha256": prediction["image"]["sha256"],
        "ms": float(prediction["timing_ms"]["total"]),
        "source": source,
        "batch": batch or None,
        "file": entry.file or None,
        "key": entry.key or None,
        **{name: float(of[name]) for name in APPEARANCE if name in of},
    }


def _partition_of(place: str) -> str:
    """The partition of the row with the sort key `place`."""
    day, request_id = place[: len("2026-01-01")], place.partition("#")[2]
    return predictions_partition(day, zlib.crc32(request_id.encode()) % SHARDS)


def get(table: str, prediction: str) -> dict[str, Any]:
    """The prediction with this id; raises NotFound."""
    place = key_of_id(prediction) or ""
    item = aws.get_item(table, _partition_of(place), place) if CURSOR.fullmatch(place) else None
    found = next(aws.parsed([item] if item else [], _from_fields), None)
    if found is None:
        raise NotFound(
            f"There is no prediction {prediction[:80]!r}. Predictions are kept for "
            f"{RETENTION_DAYS} days; GET /predictions lists them."
        )
    return found


def image_of(bucket: str, prediction: Mapping[str, Any]) -> str | None:
    """The key of the object from which a `prediction` of this module was made; None if it is gone
    or was replaced since. One call to S3, or none for a prediction that names no object."""
    key = prediction["key"]
    found = aws.head_object(bucket, key) if bucket and key else None
    if found is None:
        return None
    at = datetime.fromisoformat(prediction["at"])
    # The key of a kept image has its digest; it is stored after the prediction.
    same = key.startswith(REVIEW) or found["LastModified"] <= at + CLOCKS
    return key if same else None


def page(
    table: str,
    limit: int,
    cursor: str | None = None,
    *,
    prediction: str | None = None,
    day: date | None = None,
    version: str | None = None,
    batch: str | None = None,
    verdict: Verdict | None = None,
    source: Source | None = None,
) -> tuple[list[dict[str, Any]], str | None]:
    """Up to `limit` predictions older than the one at `cursor`, newest first, and the next cursor.

    Only predictions that match every filter. `day` chooses partitions; the other filters read every
    row of them, newest first. Rows logged in the meantime neither repeat nor hide a row of a later
    page. After MAX_READ rows or SEARCH_SECONDS the page ends with a cursor, even if it is empty.
    Raises BadRequest for an invalid cursor.
    """
    if cursor is not None and not CURSOR.fullmatch(cursor):
        raise BadRequest("Invalid cursor. Use `next` from the previous page.")

    def wanted(row: Mapping[str, Any]) -> bool:
        return (
            prediction in (None, row["prediction"])
            and version in (None, row["model_version"])
            and batch in (None, row["batch"])
            and verdict in (None, verdict_of(row["is_clickbait"], row["uncertain"]))
            and source in (None, row["source"])
        )

    filters = (prediction, version, batch, verdict, source)
    filtered = any(each is not None for each in filters)
    ahead = MAX_READ // SHARDS if filtered else limit // SHARDS + READ_AHEAD
    found: list[dict[str, Any]] = []
    read, until = 0, time.monotonic() + SEARCH_SECONDS
    days = _days(cursor, day)
    for number, one in enumerate(days, 1):
        for place, row in _rows_of(table, one, cursor, ahead):
            read += 1
            if wanted(row):
                found.append(row)
            if len(found) == limit or read == MAX_READ:
                return found, place
        if time.monotonic() > until and number < len(days):
            return found, f"{days[number]}T23:59:59.999999Z#{LAST}"
    return found, None


def time_of(cursor: str) -> str:
    """When the prediction at `cursor` was made."""
    return cursor.partition("#")[0]


def recent(table: str, hours: int, most: int) -> Iterator[dict[str, Any]]:
    """The predictions of the last `hours`, newest first, at most `most`. They are read as they are
    asked for, because together they take much memory."""
    since = (datetime.now(UTC) - timedelta(hours=hours)).strftime(TIME)
    ahead = most // SHARDS + 1
    rows = chain.from_iterable(_rows_of(table, one, None, ahead) for one in _days(None, None))
    newest = islice(rows, most)
    return (row for _, row in takewhile(lambda placed: placed[0] >= since, newest))


def _days(cursor: str | None, day: date | None) -> list[str]:
    """The days to read, newest first, as YYYY-MM-DD: `day` or all, up to that of `cursor`."""
    today = datetime.now(UTC).date()
    days = [day] if day else [today - timedelta(days=ago) for ago in range(RETENTION_DAYS + 1)]
    names = [one.isoformat() for one in days]
    return [one for one in names if cursor is None or one <= cursor[: len(one)]]


def _rows_of(
    table: str, day: str, cursor: str | None, ahead: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a day with their sort keys, newest first, older than `cursor`."""
    ahead = min(ahead, MOST_AHEAD)
    shards = [_Shard(table, predictions_partition(day, n), cursor, ahead) for n in range(SHARDS)]
    with ThreadPoolExecutor(SHARDS) as pool:
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
            yield from aws.parsed(self._items, lambda item: (item["sk"], _from_fields(item)))
            if self._after is None:
                return
            self.fill()


def _is_whole(item: Mapping[str, Any]) -> bool:
    """Whether the fields of an item have their types."""
    return (
        all(isinstance(item.get(name), form) for name, form in FIELDS.items())
        and all(isinstance(value, OPTIONAL.get(name, object)) for name, value in item.items())
        and item["prediction"] in LABELS
        and CURSOR.fullmatch(item["sk"]) is not None
    )


def _from_fields(item: Mapping[str, Any]) -> dict[str, Any]:
    """A prediction as the API returns it, from the fields of its item, and the `key` of its image.

    Older rows name no file and no key. Raises ValueError if a field is missing, or of another type.
    """
    if not _is_whole(item):
        raise ValueError("a field is missing, or of another type")
    at, _, request_id = item["sk"].partition("#")
    return {
        "id": id_of(item["sk"]),
        "at": at,
        "request_id": request_id,
        "prediction": item["prediction"],
        "is_clickbait": item["prediction"] == LABELS[1],
        **{name: item[name] for name in FIELDS if name != "prediction"},
        "batch": item.get("batch"),
        "file": item.get("file"),
        "key": item.get("key"),
        "threshold": item.get("threshold"),
        "features": {name: item[name] for name in APPEARANCE if name in item} or None,
    }
