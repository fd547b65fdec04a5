"""Images of unsure predictions, kept for review if the owner asks for it (KEEP_UNSURE); else none.

Each is one object, `review/<day>/<sha256>`, with its prediction in its metadata; S3 deletes it
after 30 days. Keeping an image never fails or delays a prediction: one image at a time is stored by
a thread of its own, and what cannot be stored, or comes in between, is not kept.

The number of a day is bounded by a counter in the table with a condition. A share for each process
would bound nothing, because nobody knows how many processes a day will have. The counter is not
hot: once it is full, a process does not ask again that day, so a day has at most KEEP_UNSURE writes
and one for each process. Without a table each process counts for itself.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from clickbait import aws
from clickbait.inference.images import FORMATS
from clickbait.keys import REVIEW, review_partition
from clickbait.observability import logger
from clickbait.settings import settings
from clickbait.store.feedback import as_metadata

CONNECT_SECONDS, STORE_SECONDS = 0.3, 1.0
"""Storing 200 KB takes 30 ms. After these limits it is given up, without a second try."""

PAUSE_SECONDS = 60.0
"""After a failure, nothing is kept for this long."""

COUNTER = "kept"
COUNTER_DAYS = 2
"""How long the counter of a day stays in the table."""


class Unsure:
    """The state of one process."""

    def __init__(self) -> None:
        self._day = ""
        self._kept = 0
        self._paused_until = 0.0
        self._last: Future[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="unsure")

    def keep(
        self, data: bytes, prediction: Mapping[str, Any], file_name: str = ""
    ) -> Future[None] | None:
        """Begin to store `data` if its `prediction` (as of `inference.prediction.answer`) is unsure
        and new; returns the work in progress, which raises nothing, or None.

        A prediction from the cache is not new. Raises nothing.
        """
        limit = settings().keep_unsure
        if not (limit and settings().data_bucket and prediction["uncertain"]):
            return None
        now = datetime.now(UTC)
        day = now.date().isoformat()
        if day != self._day:
            self._day, self._kept = day, 0
        busy = self._last is not None and not self._last.done()
        waits = busy or time.monotonic() < self._paused_until
        if prediction.get("cached") or self._kept >= limit or waits:
            return None
        prepare()  # Here, because threads must not create clients at the same time.
        self._kept += 1
        self._last = self._pool.submit(self._store, data, dict(prediction), file_name, now)
        return self._last

    def key(self, prediction: Mapping[str, Any]) -> str:
        """The key under which the image of an unsure `prediction` is kept; "" if none is kept."""
        if not (settings().keep_unsure and settings().data_bucket and prediction["uncertain"]):
            return ""
        return _key_of(prediction, datetime.now(UTC))

    def _store(
        self, data: bytes, prediction: Mapping[str, Any], file_name: str, now: datetime
    ) -> None:
        config = settings()
        try:
            if config.table and not _claim(config.table, now, config.keep_unsure):
                self._kept = config.keep_unsure
                return
            facts = {
                "file_name": file_name,
                "at": now.isoformat(timespec="seconds"),
                "prediction": prediction["prediction"],
                "probability": f"{prediction['probability']:.6f}",
                "threshold": str(prediction["threshold"]),
                "model_version": prediction["model_version"],
            }
            _client("s3").put_object(
                Bucket=config.data_bucket,
                Key=_key_of(prediction, now),
                Body=data,
                ContentType=FORMATS[prediction["image"]["format"]].media_type,
                Metadata=as_metadata(facts),
            )
        except Exception as error:  # The prediction is worth more than the image.
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            logger.error("unsure image not kept", reason=repr(error))


def _key_of(prediction: Mapping[str, Any], at: datetime) -> str:
    return f"{REVIEW}{at.date().isoformat()}/{prediction['image']['sha256']}"


def _claim(table: str, now: datetime, most: int) -> bool:
    """Count one more image of the day; False if it has `most` already."""
    client = _client("dynamodb")
    expires = now + timedelta(days=COUNTER_DAYS)
    try:
        client.update_item(
            TableName=table,
            Key=aws.key_of(review_partition(now.date().isoformat()), COUNTER),
            UpdateExpression="SET expires = :expires ADD images :one",
            ConditionExpression="attribute_not_exists(images) OR images < :most",
            ExpressionAttributeValues=aws.to_item(
                {":expires": int(expires.timestamp()), ":one": 1, ":most": most}
            ),
        )
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _client(service: str) -> Any:
    return aws.quick_client(service, CONNECT_SECONDS, STORE_SECONDS)


def prepare() -> None:
    """Create the clients, which takes as long as many predictions, if anything is kept."""
    if settings().keep_unsure and settings().data_bucket:
        for service in ("s3", "dynamodb"):
            _client(service)


@cache
def unsure() -> Unsure:
    """The process's one keeper."""
    return Unsure()
