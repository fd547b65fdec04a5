"""What landed in the inbox: each image predicted once, each failure a row of its own.

SQS delivers a message at least once, and S3 tells of an object at least once. So a row is written
only where there is none of the same object, and a message fails alone: where AWS failed, or this
function. An image that cannot be read is no failure but a result.
"""

import gc
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from clickbait import aws, observability
from clickbait.errors import InternalError, Problem, Unavailable
from clickbait.inference.prediction import Answer, answer
from clickbait.keys import INBOX, batch_and_name, is_hidden, keys_in_event
from clickbait.observability import count, flush, logger
from clickbait.settings import settings
from clickbait.store import history
from clickbait.store.batches import Batches, Names
from clickbait.store.live import serving
from clickbait.store.presigned import read_within
from clickbait.store.rows import Outcome, Row, Rows, now

READERS = 4
"""Objects read at a time: reading is waiting. Decoding and predicting take turns, for there is one
core, and an image can take 100 MB while it is decoded."""

LAST_TRY = 5
"""The queue's maxReceiveCount: what fails then goes to the dead letters."""

PREDICTED = ("prediction", "probability", "confidence", "uncertain", "model_version")
"""Fields of a prediction that its row keeps."""

live = serving()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Deal with each message for itself; returns SQS's partial batch response, for the rest to be
    delivered again and in the end to the dead-letter queue."""
    started = time.perf_counter()
    logger.append_keys(request_id=getattr(context, "aws_request_id", None))
    try:
        return messages(event["Records"])
    finally:
        # One line at least: the local cloud waits for one.
        observability.count_invocation(time.perf_counter() - started)
        flush()


@dataclass(slots=True)
class Sent:
    """Which messages told of a key, and whether it is the last time that one of them does."""

    by: set[str] = field(default_factory=set)
    last_try: bool = False


def messages(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Predict what the messages tell of, an image once however often it is told."""
    keys: defaultdict[str, Sent] = defaultdict(Sent)
    failed: set[str] = set()
    order = [record["messageId"] for record in records]
    for record in records:
        sender = record["messageId"]
        try:
            for key in keys_in_event(json.loads(record["body"]), settings().data_bucket):
                keys[key].by.add(sender)
                keys[key].last_try |= _receives(record) >= LAST_TRY
        except (ValueError, RecursionError) as error:
            logger.error("message not understood", message_id=sender, reason=str(error)[:500])
            failed.add(sender)

    became = Inbox().look(keys)
    failed |= {sender for key in keys.keys() - became.keys() for sender in keys[key].by}
    count("MessagesFailed", len(failed))
    return {"batchItemFailures": [{"itemIdentifier": one} for one in order if one in failed]}


def _receives(record: dict[str, Any]) -> int:
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))


class Inbox:
    """The inbox during one call."""

    def __init__(self) -> None:
        self.batches = Batches.from_settings()
        self._classifying = Lock()

    def look(self, keys: dict[str, Sent]) -> dict[str, str]:
        """Look at each key; returns what became of those that are dealt with: "new", "replaced" or
        "again" as a row, "gone", or "ignored"."""
        folders: defaultdict[str, dict[str, str]] = defaultdict(dict)
        became: dict[str, str] = {}
        for key in keys:
            place = batch_and_name(key)
            if place:
                folders[place[0]][key] = place[1]
            else:
                became[key] = "ignored"
                _log_ignored(key)
        for service in ("s3", "dynamodb"):
            aws.client(service)  # Threads may share a client, but not make one at the same time.
        history.writer()
        for batch, names in folders.items():
            try:
                became |= self._folder(batch, names, keys)
            except Exception:  # Its messages come again; those of other batches are done.
                logger.exception("batch failed", batch=batch)
        return became

    def _folder(self, batch: str, names: dict[str, str], keys: dict[str, Sent]) -> dict[str, str]:
        """Look at the keys of one batch and take in what became of them."""
        known = self.batches.names_of(batch)

        def one(key: str) -> tuple[str, str]:
            try:
                return key, self._file(known, key, names[key], keys[key].last_try)
            except Exception:  # Whatever it is: it is this message's, and the others are to go on.
                logger.exception("image failed", key=key)
                return key, ""

        with ThreadPoolExecutor(READERS) as pool:
            became = {key: what for key, what in pool.map(one, names) if what}
        outcomes = list(became.values())
        if outcomes:
            new = outcomes.count("new")
            # Whatever is no new row was there or is gone: whoever dealt with it may have ended
            # before the results were written.
            self.batches.record_rows(batch, new, again=new < len(outcomes))
        return became

    def _file(self, known: Names, key: str, name: str, last_try: bool) -> str:
        """Predict one object and write its row, or the row of its failure."""
        s3 = self.batches.s3
        try:
            found: Any = s3.get_object(Bucket=self.batches.bucket, Key=key)
        except s3.exceptions.NoSuchKey:
            logger.info("image gone", key=key)
            return "gone"
        row, file = known.row_of(name)
        predicted: Answer | None = None
        try:
            with found["Body"] as body:  # What is not read is not fetched.
                data = read_within(found["ContentLength"], body, settings().max_upload_size)
            with self._classifying:
                limit = settings().max_upload_size
                predicted = answer(live.current(), data, max_bytes=limit, with_appearance=True)
            fields = {name: predicted.prediction[name] for name in PREDICTED}
        except Unavailable:
            raise
        except Problem as problem:
            fields = {"error": problem.detail}
        except Exception as fault:
            if aws.is_transport_fault(fault) or not last_try:
                raise
            logger.exception("image given up", key=key)
            count("ImagesGivenUp")
            given_up = InternalError(
                f"The service failed on this image {LAST_TRY} times ({type(fault).__name__})."
            )
            fields = {"error": given_up.detail}
        outcome = self._write(known.batch, row, file, found, fields)
        if predicted and outcome != "again":
            prediction, appearance = predicted
            history.log(prediction, "worker", known.batch, appearance=appearance)
        return outcome

    def _write(
        self, batch: str, name: str, file: str, found: Any, fields: dict[str, Any]
    ) -> Outcome:
        row = Row(
            name=name,
            file=file,
            at=now(),
            etag=found["ETag"].strip('"'),
            modified=found["LastModified"].isoformat(),
            **fields,
        )
        outcome = Rows(self.batches.table, batch).put(row)
        if outcome != "again":
            count("ImagesFailed" if row.failed else "ImagesPredicted")
        return outcome


def _log_ignored(key: str) -> None:
    """Folders and dot files are nobody's mistake; anything else is told."""
    if not key.endswith("/") and not is_hidden(key):
        logger.warning(
            "object ignored", key=key, reason=f"it is in no folder {INBOX}NAME/ that can be a batch"
        )


if observability.IN_LAMBDA:
    live.warm()
# Importing made no garbage, and `functions` kept collection off for it: it begins now.
gc.freeze()
gc.enable()
