"""Makes small updates: each message names a run, and the run ends with a decision.

A function of its own, and not a part of `retrain`: it needs a whole vCPU and minutes where that one
waits for S3, it may write models where that one may not, and a backlog of uploads must not delay an
update.
"""

import gc
import json
import time
from typing import Any

from clickbait import aws
from clickbait.observability import count, count_invocation, flush, logger
from clickbait.settings import settings
from clickbait.store.registry import Registry
from clickbait.store.runs import ATTEMPTS, FAILED, RUN_ID, Runs
from clickbait.store.triggers import check_soon
from functions.learn.attempt import Attempt, Over
from functions.learn.live import Hopeless


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Process the messages of an event, one run at a time, and return SQS's partial batch response:
    a failed message is delivered again."""
    started = time.perf_counter()
    logger.append_keys(request_id=getattr(context, "aws_request_id", None))
    try:
        records = event["Records"]
        failed = [one["messageId"] for one in records if not _succeeds(one["body"])]
        count("MessagesFailed", len(failed))
        return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}
    finally:
        count_invocation(time.perf_counter() - started)
        flush()


def _succeeds(body: str) -> bool:
    """Process one message. False if it should be delivered again."""
    try:
        run = str(json.loads(body)["run"])
        if not RUN_ID.fullmatch(run):
            raise ValueError(f"no run is named {run[:40]!r}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        logger.error("invalid message", reason=str(error)[:500])
        return False
    logger.append_keys(run=run)
    return update(run)


def update(run: str) -> bool:
    """Bring the run to its end. False if an attempt failed that another one may repair."""
    config = settings()
    runs = Runs.from_settings()
    found = runs.begin(run)
    if found is None:
        return True
    attempt = Attempt(found, runs, config, Registry(config.models_bucket))
    try:
        attempt.go()
    except Over:
        pass
    except Hopeless as error:
        runs.end(run, FAILED, str(error))
    except Exception as error:  # The run must report any fault.
        logger.exception("small update failed")
        cause = getattr(error, "detail", None) or aws.reason(error)
        if found["attempts"] < ATTEMPTS:
            runs.report(run, reason=f"Attempt {found['attempts']} of {ATTEMPTS} failed: {cause}")
            return False
        reason = f"The small update failed {ATTEMPTS} times. The last error: {cause}"
        runs.end(run, FAILED, reason)
    check_soon(config.uploads_queue)
    return True


# `functions` turned garbage collection off for the imports; it starts here.
gc.freeze()
gc.enable()
