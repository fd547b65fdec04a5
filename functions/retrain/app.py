"""Turns events into training runs: new images, ended jobs of AWS Batch, and schedules."""

import gc
import json
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from clickbait import aws
from clickbait.keys import keys_in_event
from clickbait.observability import count, count_invocation, flush, logger
from clickbait.settings import settings
from clickbait.store import monitoring
from clickbait.store.drop_folder import DropFolder
from clickbait.store.reading import deliveries
from clickbait.store.runs import Runs
from clickbait.store.triggers import TIMER_MESSAGE, Triggers

READERS = 4
"""Objects read at a time. Reading is mostly waiting; `DropFolder` decodes one at a time."""

SCHEDULED = frozenset({"reconcile", "daily"})
"""Events of schedules. Their invocations write no metrics, because a metric that is written all the
time costs $0.30 a month."""

ENDED = frozenset({"SUCCEEDED", "FAILED"})
"""Final states of a Batch job. The training itself reports the others to the run."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """Process one event.

    Returns the failed messages of a batch. SQS delivers them again, and in the end to the
    dead-letter queue. Raises any other failure, so that Lambda tries again.
    """
    started = time.perf_counter()
    logger.append_keys(request_id=getattr(context, "aws_request_id", None))
    kind = kind_of(event)
    try:
        match kind:
            case "messages":
                return messages(event["Records"])
            case "job":
                job_changed(event["detail"])
            case "reconcile":
                Triggers.from_settings().reconcile()
            case "daily":
                Triggers.from_settings().on_schedule()
                monitoring.emit_drift()
                DropFolder(settings().data_bucket, settings().table).catch_up()
            case _:
                raise ValueError(f"unknown event: {json.dumps(event)[:500]}")
    except Exception:
        logger.exception("event failed", kind=kind)
        raise
    finally:
        logger.info("event", kind=kind)
        if kind not in SCHEDULED:
            count_invocation(time.perf_counter() - started)
        flush()
    return None


def kind_of(event: Any) -> str:
    """The kind of an event: "messages", "job", "reconcile", "daily" or "unknown"."""
    match event:
        case {"Records": [_, *_] as records} if all(_is_message(record) for record in records):
            return "messages"
        case {"source": "aws.batch", "detail-type": "Batch Job State Change", "detail": {}}:
            return "job"
        case {"source": "schedule", "action": ("reconcile" | "daily") as action}:
            return str(action)
    return "unknown"


def _is_message(record: Any) -> bool:
    match record:
        case {"eventSource": "aws:sqs", "messageId": str(), "body": str()}:
            return True
    return False


# --- messages of the uploads queue ---------------------------------------------------------------


def messages(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Process each message on its own; returns SQS's partial batch response."""
    senders: dict[str, set[str]] = {}
    again: set[str] = set()
    timers: set[str] = set()
    failed: set[str] = set()
    order = [record["messageId"] for record in records]
    for record in records:
        message = record["messageId"]
        try:
            body = json.loads(record["body"])
            if body == TIMER_MESSAGE:
                timers.add(message)
                continue
            for key in keys_in_event(body, settings().data_bucket):
                senders.setdefault(key, set()).add(message)
                if deliveries(record) > 1:
                    again.add(key)
        except (ValueError, RecursionError) as error:
            logger.error("invalid message", message_id=message, reason=str(error)[:500])
            failed.add(message)

    outcomes = process(senders, again)
    failed |= {message for key in senders.keys() - outcomes.keys() for message in senders[key]}
    kept = [key for key, outcome in outcomes.items() if outcome == "kept"]
    rejected = [key for key, outcome in outcomes.items() if outcome == "rejected"]
    count("ImagesKept", len(kept))
    count("ImagesRejected", len(rejected))
    # A removed image is news too: an owner who sorts images is not finished yet.
    changed = [key for key, outcome in outcomes.items() if outcome in {"kept", "gone"}]
    if changed and not _succeeds("on_upload"):
        failed |= {message for key in changed for message in senders[key]}
    if timers and not _succeeds("on_timer"):
        failed |= timers
    count("MessagesFailed", len(failed))
    return {"batchItemFailures": [{"itemIdentifier": one} for one in order if one in failed]}


def process(keys: Iterable[str], again: Collection[str] = ()) -> dict[str, str]:
    """Process each key in the drop folder; returns the outcome of those that did not fail.

    `again` are the keys whose messages were delivered before.
    """
    folder = DropFolder(settings().data_bucket, settings().table)
    for service in ("s3", "dynamodb"):
        aws.client(service)  # Threads may share a client, but not create one at the same time.

    def one(key: str) -> tuple[str, str]:
        try:
            return key, folder.process(key, key in again)
        except Exception:  # Only the messages of this key are delivered again.
            logger.exception("upload failed", key=key)
            return key, ""

    with ThreadPoolExecutor(READERS) as pool:
        return {key: outcome for key, outcome in pool.map(one, keys) if outcome}


def _succeeds(step: str) -> bool:
    """Call a step of `Triggers`. False if it fails; the messages that need it are then retried."""
    try:
        getattr(Triggers.from_settings(), step)()
    except Exception:  # The other messages are done.
        logger.exception("step failed", step=step)
        return False
    return True


# --- AWS Batch -----------------------------------------------------------------------------------


def job_changed(detail: dict[str, Any]) -> None:
    """Report the end of a job to its run, and start another run if enough images wait."""
    if detail.get("status") in ENDED:
        Runs.from_settings().on_job_ended(detail)
        Triggers.from_settings().reconcile()


# `functions` turned garbage collection off for the imports; it starts here.
gc.freeze()
gc.enable()
