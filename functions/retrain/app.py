"""Events in: what landed in the drop folder, a training that ended, the clock. Runs out."""

import gc
import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from clickbait import aws
from clickbait.keys import keys_in_event
from clickbait.observability import count, count_invocation, flush, logger
from clickbait.settings import settings
from clickbait.store import monitoring
from clickbait.store.drop_folder import DropFolder
from clickbait.store.runs import Runs
from clickbait.store.triggers import TIMER_MESSAGE, Triggers

READERS = 4
"""Objects read at a time. Reading is waiting; `DropFolder` decodes one at a time."""

OF_THE_CLOCK = frozenset({"reconcile", "daily"})
"""Events that come whether or not there is something to do: an invocation for them is counted by no
metric, for one that never rests costs $0.30 a month."""

ENDED = frozenset({"SUCCEEDED", "FAILED"})
"""States of a Batch job that no other follows; of the others the training itself tells the run."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """Deal with one event. Of a batch of messages those that failed are returned, for SQS to
    deliver again and in the end to the dead-letter queue; any other failure is raised, and Lambda
    tries again."""
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
            case _:
                raise ValueError(f"no event that this function knows: {json.dumps(event)[:500]}")
    except Exception:
        logger.exception("event failed", kind=kind)
        raise
    finally:
        logger.info("event", kind=kind)
        if kind not in OF_THE_CLOCK:
            count_invocation(time.perf_counter() - started)
        flush()
    return None


def kind_of(event: Any) -> str:
    """What an event is: "messages", "job", "reconcile" or "daily"; "unknown" is anything else."""
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
    """Deal with each message for itself; returns SQS's partial batch response."""
    senders: dict[str, set[str]] = {}
    quiet: set[str] = set()
    failed: set[str] = set()
    order = [record["messageId"] for record in records]
    for record in records:
        sender = record["messageId"]
        try:
            told = json.loads(record["body"])
            if told == TIMER_MESSAGE:
                quiet.add(sender)
                continue
            for key in keys_in_event(told, settings().data_bucket):
                senders.setdefault(key, set()).add(sender)
        except (ValueError, RecursionError) as error:
            logger.error("message not understood", message_id=sender, reason=str(error)[:500])
            failed.add(sender)

    became = look(senders)
    failed |= {sender for key in senders.keys() - became.keys() for sender in senders[key]}
    kept = [key for key, what in became.items() if what == "kept"]
    rejected = [key for key, what in became.items() if what == "rejected"]
    count("ImagesKept", len(kept))
    count("ImagesRejected", len(rejected))
    if kept and not _done("on_upload"):
        failed |= {sender for key in kept for sender in senders[key]}
    if quiet and not _done("on_timer"):
        failed |= quiet
    count("MessagesFailed", len(failed))
    return {"batchItemFailures": [{"itemIdentifier": one} for one in order if one in failed]}


def look(keys: Iterable[str]) -> dict[str, str]:
    """Have `DropFolder` look at each key, once however often it was told; returns what became of
    those that did not fail."""
    folder = DropFolder(settings().data_bucket, settings().table)
    for service in ("s3", "dynamodb"):
        aws.client(service)  # Threads may share a client, but not make one at the same time.

    def arrived(key: str) -> tuple[str, str]:
        try:
            return key, folder.process(key)
        except Exception:  # Whatever it is: it is this message's, and the others are to go on.
            logger.exception("upload failed", key=key)
            return key, ""

    with ThreadPoolExecutor(READERS) as pool:
        return {key: what for key, what in pool.map(arrived, keys) if what}


def _done(step: str) -> bool:
    """Call a step of `Triggers`; False where it failed, so that the messages that asked for it
    come again."""
    try:
        getattr(Triggers.from_settings(), step)()
    except Exception:  # As for an upload: the messages that did not ask for it are done.
        logger.exception("step failed", step=step)
        return False
    return True


# --- AWS Batch -----------------------------------------------------------------------------------


def job_changed(detail: dict[str, Any]) -> None:
    """Tell the run of a job that ended, and start the one that waited for it."""
    if detail.get("status") in ENDED:
        Runs.from_settings().on_job_ended(detail)
        Triggers.from_settings().reconcile()


# Importing made no garbage, and `functions` kept collection off for it: it begins now.
gc.freeze()
gc.enable()
