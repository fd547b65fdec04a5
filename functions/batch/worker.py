"""Classify the images that arrive in the inbox: one row for each, failures included.

SQS may deliver a message twice, and S3 may announce an object twice. A row is therefore written
only if the same object has none yet. Rows are written together at the end of a call. Those of a
message that was delivered before are written one by one, as its worker may be killed again.
Messages fail one by one, and only if AWS or this function fails: an image that cannot be read is a
result. So is one that ended two workers, and one whose message SQS will not deliver again: every
batch ends.
"""

import gc
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from clickbait import aws, observability, youtube
from clickbait.errors import BadRequest, InternalError, Problem, Unavailable
from clickbait.inference.prediction import answer
from clickbait.keys import INBOX, batch_and_name, is_litter, keys_in_event, why_not_in_a_batch
from clickbait.observability import count, flush, logger
from clickbait.settings import settings
from clickbait.store import history
from clickbait.store.batches import Batches, Names
from clickbait.store.drop_folder import set_aside
from clickbait.store.live import serving
from clickbait.store.presigned import read_within
from clickbait.store.reading import deliveries, reading
from clickbait.store.results import Row, stored_fields
from clickbait.store.rows import TRANSACTION, Outcome, Rows, now

READERS = 4
"""Objects read at a time, because reading is mostly waiting. Images are classified one at a time,
because there is one core, and decoding an image can take 100 MB."""

LAST_TRY = 5
"""The queue's maxReceiveCount. A message that fails then goes to the dead-letter queue."""

GIVEN_UP = (
    f"The service gave this image up after {LAST_TRY} attempts: each failed or was cut off. If an "
    "administrator repeats them (make replay), this row is replaced."
)

live = serving()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Process each message on its own; returns SQS's partial batch response.

    SQS delivers the failed messages again, and in the end to the dead-letter queue.
    """
    started = time.perf_counter()
    logger.append_keys(request_id=getattr(context, "aws_request_id", None))
    try:
        return messages(event["Records"])
    finally:
        # Writes at least one line, because the local cloud waits for one.
        observability.count_invocation(time.perf_counter() - started)
        flush()


@dataclass(slots=True)
class Sent:
    """The messages that name one key, and the most deliveries that one of them has had."""

    by: set[str] = field(default_factory=set)
    deliveries: int = 1

    @property
    def last_try(self) -> bool:
        return self.deliveries >= LAST_TRY


@dataclass(frozen=True, slots=True)
class Read:
    """The row of an object that was read, and its prediction, if there is one, for the history."""

    row: Row
    logged: history.Entry | None


def messages(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Classify the images that the messages name, each once, however often it is named."""
    keys: defaultdict[str, Sent] = defaultdict(Sent)
    failed: set[str] = set()
    order = [record["messageId"] for record in records]
    for record in records:
        message = record["messageId"]
        try:
            for key in keys_in_event(json.loads(record["body"]), settings().data_bucket):
                keys[key].by.add(message)
                keys[key].deliveries = max(keys[key].deliveries, deliveries(record))
        except (ValueError, RecursionError) as error:
            logger.error("invalid message", message_id=message, reason=str(error)[:500])
            failed.add(message)

    outcomes = Inbox().process(keys)
    failed |= {message for key in keys.keys() - outcomes.keys() for message in keys[key].by}
    count("MessagesFailed", len(failed))
    return {"batchItemFailures": [{"itemIdentifier": one} for one in order if one in failed]}


class Inbox:
    """The inbox during one call."""

    def __init__(self) -> None:
        self.batches = Batches.from_settings()
        self._classifying = Lock()

    def process(self, keys: dict[str, Sent]) -> dict[str, str]:
        """Process each key; returns the outcome of those that did not fail.

        An outcome is that of the row ("new", "replaced" or "again"), "gone", "ignored" for litter
        and empty folders, or "rejected" for any other object that belongs to no batch.
        """
        folders: defaultdict[str, dict[str, str]] = defaultdict(dict)
        outcomes: dict[str, str] = {}
        outside: list[str] = []
        for key in keys:
            place = batch_and_name(key)
            if place:
                folders[place[0]][key] = place[1]
            else:
                outside.append(key)
        for service in ("s3", "dynamodb"):
            aws.client(service)  # Threads may share a client, but not create one at the same time.
        for key in outside:
            try:
                outcomes[key] = self._outside(key)
            except Exception:  # Only the messages of this key are delivered again.
                logger.exception("object not set aside", key=key)
        history.writer()
        for batch, names in folders.items():
            try:
                outcomes |= self._folder(batch, names, keys)
            except Exception:  # Its messages are retried; those of other batches are done.
                logger.exception("batch failed", batch=batch)
        return outcomes

    def _outside(self, key: str) -> str:
        """Set an object aside that belongs to no batch."""
        if not key.startswith(INBOX) or is_litter(key):
            return "ignored"
        found = aws.get_object(self.batches.bucket, key)
        if found is None:
            return "gone"
        found["Body"].close()  # Bytes that are not read are not fetched.
        if key.endswith("/") and found["ContentLength"] == 0:
            return "ignored"
        problem = BadRequest(why_not_in_a_batch(key))
        if not set_aside(self.batches.bucket, key, found, problem):
            raise RuntimeError(f"{key} changed while it was set aside")
        return "rejected"

    def _folder(self, batch: str, names: dict[str, str], keys: dict[str, Sent]) -> dict[str, str]:
        """Process the keys of one batch, and record the outcomes in the batch."""
        known, rows = self.batches.names_of(batch), Rows(self.batches.table, batch)
        outcomes: dict[str, str] = {}
        read: dict[str, Read] = {}
        last = {key: name for key, name in names.items() if keys[key].last_try}
        given_up = self._give_up(known, last) if last else 0

        def process(key: str) -> None:
            try:
                found = self._file(known, key, names[key], keys[key])
                if found is None:
                    outcomes[key] = "gone"
                elif keys[key].deliveries == 1:
                    read[key] = found
                else:
                    outcomes.update(self._write(rows, {key: found}))
            except Exception:  # Only the messages of this key are delivered again.
                logger.exception("image failed", key=key)

        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(process, names))
        outcomes |= self._write(rows, read)
        if outcomes or given_up:
            new = list(outcomes.values()).count("new")
            # If a row existed, its writer may have died before it recorded the row.
            self.batches.record_rows(batch, new + given_up, len(outcomes) - new + given_up)
        return outcomes

    def _give_up(self, known: Names, names: dict[str, str]) -> int:
        """Write a row for each object that has none, before the last attempt at them; returns the
        number of rows.

        If this attempt is killed or fails too, SQS delivers the message to nobody. The rows name no
        object, so any later attempt replaces them.
        """
        rows: dict[str, Row] = {}
        for key, name in names.items():
            try:
                gone = aws.head_object(self.batches.bucket, key) is None
            except aws.faults():  # S3 does not answer, which may be why the attempts failed.
                gone = False
            if not gone:
                row, file = known.row_of(name)
                rows[row] = Row(row, file, now(), error=GIVEN_UP)
        try:
            written = Rows(self.batches.table, known.batch).put_missing(
                list(rows.values())[:TRANSACTION]
            )
        except Exception:  # The attempt itself may succeed.
            logger.exception("rows not written before the last attempt", batch=known.batch)
            return 0
        count("ImagesGivenUp", written)
        return written

    def _file(self, known: Names, key: str, name: str, sent: Sent) -> Read | None:
        """Classify one object: its row with the prediction or the error. None if it is gone."""
        found = aws.get_object(self.batches.bucket, key)
        if found is None:
            logger.info("image gone", key=key)
            return None
        row, file = known.row_of(name)
        limit = settings().max_upload_size
        logged: history.Entry | None = None
        etag = found["ETag"]
        mark = nullcontext() if sent.deliveries == 1 else reading(self.batches.table, key, etag)
        try:
            with found["Body"] as body:
                data = read_within(found["ContentLength"], body, limit)
            if video := youtube.link_in(data):
                data = youtube.thumbnail(video)
            with self._classifying, mark:
                model = live.current().at(known.threshold)
                result = answer(model, data, max_bytes=limit, with_appearance=True)
            logged = history.Entry(result.prediction, result.appearance, file=file, key=key)
            fields = stored_fields(result.prediction)
        except Unavailable:
            raise
        except Problem as problem:
            fields = {"error": problem.detail}
        except Exception as fault:
            if aws.is_transport_fault(fault) or not sent.last_try:
                raise
            logger.exception("image given up", key=key)
            count("ImagesGivenUp")
            given_up = InternalError(
                f"The service failed on this image {LAST_TRY} times ({type(fault).__name__})."
            )
            fields = {"error": given_up.detail}
        modified = found["LastModified"].isoformat()
        return Read(Row(row, file, now(), etag.strip('"'), modified, **fields), logged)

    @staticmethod
    def _write(rows: Rows, read: dict[str, Read]) -> dict[str, Outcome]:
        """Write what was read from each key, and log the predictions whose rows are new; returns
        the outcomes of the keys at which AWS did not fail."""
        new = [False] * len(read)
        if len(read) > 1:
            try:
                new = rows.put_new([one.row for one in read.values()])
            except Exception as error:
                if aws.is_transport_fault(error):  # Each row would wait for the table in vain.
                    raise
                logger.exception("rows not written together", batch=rows.batch)
        outcomes: dict[str, Outcome] = {}
        for (key, one), written in zip(read.items(), new, strict=True):
            try:
                outcomes[key] = "new" if written else rows.put(one.row)
            except Exception:  # Only the messages of this key are delivered again.
                logger.exception("row not written", key=key)
        done = [read[key] for key, outcome in outcomes.items() if outcome != "again"]
        for one in done:
            count("ImagesFailed" if one.row.failed else "ImagesPredicted")
        history.log_all([one.logged for one in done if one.logged], "worker", rows.batch)
        return outcomes


if observability.IN_LAMBDA:
    live.warm()
# `functions` turned garbage collection off for the imports; it starts here.
gc.freeze()
gc.enable()
