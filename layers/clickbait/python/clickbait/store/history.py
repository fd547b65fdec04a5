"""The log of predictions: what was answered when, without the image; kept for 30 days.

A row that cannot be written is a metric and a line in the log, and never costs anybody an answer.
A day's rows lie in eight partitions of the table, so that no rate of predictions is too much for
one, and are read newest first across them.
"""

import re
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import cache
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from clickbait import LABELS, aws
from clickbait.errors import BadRequest
from clickbait.inference.appearance import APPEARANCE
from clickbait.keys import predictions_partition
from clickbait.observability import count, logger
from clickbait.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAYS = 30
"""How long a row is kept; DynamoDB deletes it within two days after that."""

SHARDS = 8
"""A partition takes 1,000 writes a second: 8,000 predictions a second before one is refused."""

CONNECT_SECONDS, WRITE_SECONDS = 0.3, 0.5
"""A write takes 5 ms. One that takes longer than these together is given up, after one try."""

REST_SECONDS = 10.0
"""After a failed write nobody waits for another one for so long: the rows of that time are lost."""

MOST_READ = 10_000
"""Rows looked at for one answer: 4 MB, 2 s. A filter that matches few of them ends early, with the
cursor to go on from."""

READ_AHEAD = 32
"""Rows of a partition that are read at least at a time."""

TIME = "%Y-%m-%dT%H:%M:%S.%fZ"

PLACE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z#.{1,200}", re.DOTALL)
"""A row's sort key, which is also the cursor behind it; DynamoDB takes 1,024 bytes."""

Source = Literal["predict", "batch", "worker"]

_rests_until = 0.0


@cache
def writer() -> "DynamoDBClient":
    """The client that writes: quick to give up, and one try. `writer.cache_clear()` forgets it."""
    import boto3
    from botocore.config import Config

    quick = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=WRITE_SECONDS,
        retries={"total_max_attempts": 1},
    )
    return boto3.client("dynamodb", config=quick)


def log(
    made: Mapping[str, Any],
    source: Source,
    batch: str = "",
    request_id: str = "",
    appearance: Mapping[str, float] | None = None,
) -> bool:
    """Keep what was answered (the fields of `clickbait.inference.prediction.answer`), by whom and
    for what; and count it as one of the metrics PredictedClickbait and PredictedLegitimate, and
    PredictedUncertain.

    `appearance` has the numbers of `inference.appearance`. False, and the metric
    HistoryWriteFailure, where it could not be written within CONNECT_SECONDS and WRITE_SECONDS;
    True and nothing at all where the process has no table. Raises nothing.
    """
    global _rests_until  # noqa: PLW0603 - one per process, as the client
    count("PredictedClickbait" if made["prediction"] == LABELS[1] else "PredictedLegitimate")
    if made["uncertain"]:
        count("PredictedUncertain")
    table = settings().table
    if not table:
        return True
    if time.monotonic() < _rests_until:
        count("HistoryWriteFailure")
        return False
    request_id = request_id or made.get("request_id") or uuid.uuid4().hex
    try:
        item = _item(made, source, batch, request_id, appearance or {})
        writer().put_item(TableName=table, Item=item)
    except Exception as error:  # whatever it is: the answer is ready and is worth more
        _rests_until = time.monotonic() + REST_SECONDS
        count("HistoryWriteFailure")
        logger.error("prediction not logged", request_id=request_id, reason=repr(error))
        return False
    return True


def _item(
    made: Mapping[str, Any],
    source: str,
    batch: str,
    request_id: str,
    appearance: Mapping[str, float],
) -> dict[str, Any]:
    now = datetime.now(UTC)
    item: dict[str, Any] = {
        "pk": {
            "S": predictions_partition(
                now.date().isoformat(), zlib.crc32(request_id.encode()) % SHARDS
            )
        },
        "sk": {"S": f"{now.strftime(TIME)}#{request_id}"},
        "expires": {"N": str(int((now + timedelta(days=DAYS)).timestamp()))},
        "prediction": {"S": made["prediction"]},
        "probability": {"N": repr(round(float(made["probability"]), 6))},
        "uncertain": {"BOOL": bool(made["uncertain"])},
        "model_version": {"S": made["model_version"]},
        "sha256": {"S": made["image"]["sha256"]},
        "ms": {"N": repr(float(made["timing_ms"]["total"]))},
        "source": {"S": source},
    }
    if batch:
        item["batch"] = {"S": batch}
    return item | {
        name: {"N": repr(float(appearance[name]))} for name in APPEARANCE if name in appearance
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
    """`limit` predictions, newest first, older than the one at `cursor`, and the next cursor.

    Only those that have all that is given. What is logged meanwhile neither repeats nor hides a row
    of a later page. After MOST_READ rows the page ends as it is, even empty, with a cursor. Raises
    BadRequest for a cursor that no page ended with.
    """
    if cursor is not None and not PLACE.fullmatch(cursor):
        raise BadRequest("The cursor is none that a list of predictions ended with.")

    def wanted(row: Mapping[str, Any]) -> bool:
        return (
            prediction in (None, row["prediction"])
            and version in (None, row["model_version"])
            and batch in (None, row["batch"])
        )

    filtered = any(each is not None for each in (prediction, version, batch))
    ahead = MOST_READ // SHARDS if filtered else limit // SHARDS + READ_AHEAD
    found: list[dict[str, Any]] = []
    place = cursor
    for read, (place, row) in enumerate(_rows(table, cursor, day, ahead), 1):
        if wanted(row):
            found.append(row)
        if len(found) == limit or read == MOST_READ:
            return found, place
    return found, None


def recent(table: str, hours: int, most: int) -> list[dict[str, Any]]:
    """The predictions of the last `hours`, at most the newest `most`."""
    since = (datetime.now(UTC) - timedelta(hours=hours)).strftime(TIME)
    newest = islice(_rows(table, None, None, most // SHARDS + 1), most)
    rows = []
    for place, row in newest:
        if place < since:
            break
        rows.append(row)
    return rows


def _rows(
    table: str, cursor: str | None, day: date | None, ahead: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows with their places, newest first, older than `cursor`; of `day` or of all DAYS."""
    today = datetime.now(UTC).date()
    days = [day] if day else [today - timedelta(days=ago) for ago in range(DAYS + 1)]
    with ThreadPoolExecutor(SHARDS) as pool:
        for one in days:
            if cursor is None or one.isoformat() <= cursor[: len("2026-01-01")]:
                shards = [
                    _Shard(table, predictions_partition(one.isoformat(), n), cursor, ahead)
                    for n in range(SHARDS)
                ]
                list(pool.map(_Shard.fill, shards))
                yield from merge(*shards, key=lambda placed: placed[0], reverse=True)


class _Shard:
    """One partition, read in pages as far as it is needed."""

    def __init__(self, table: str, partition: str, before: str | None, ahead: int) -> None:
        values: dict[str, Any] = {":pk": {"S": partition}}
        condition = "pk = :pk"
        if before is not None:
            values[":before"] = {"S": before}
            condition += " AND sk < :before"
        self._query: dict[str, Any] = {
            "TableName": table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": False,
            "Limit": ahead,
        }
        self._items: list[dict[str, Any]] = []
        self._more = True

    def fill(self) -> None:
        """Read the next page."""
        found = aws.client("dynamodb").query(**self._query)
        self._items = found["Items"]
        self._more = "LastEvaluatedKey" in found
        if self._more:
            self._query["ExclusiveStartKey"] = found["LastEvaluatedKey"]

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        while True:
            for item in self._items:
                yield item["sk"]["S"], _row(item)
            if not self._more:
                return
            self.fill()


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    at, _, request_id = item["sk"]["S"].partition("#")
    number: Callable[[str], float] = lambda name: float(item[name]["N"])  # noqa: E731
    return {
        "at": at,
        "request_id": request_id,
        "prediction": item["prediction"]["S"],
        "is_clickbait": item["prediction"]["S"] == LABELS[1],
        "probability": number("probability"),
        "uncertain": item["uncertain"]["BOOL"],
        "model_version": item["model_version"]["S"],
        "sha256": item["sha256"]["S"],
        "ms": number("ms"),
        "source": item["source"]["S"],
        "batch": item["batch"]["S"] if "batch" in item else None,
        "features": {name: number(name) for name in APPEARANCE if name in item} or None,
    }
