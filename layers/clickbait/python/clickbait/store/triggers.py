"""When a training starts by itself: enough images are new, and uploads have stopped.

An image is new if no run has trained on its content. An upload only starts the debounce timer, one
delayed message at a time. When the timer fires and nothing has arrived for the quiet period, the
new images are counted. They are also counted when a run ends and every 15 minutes, because a
message may be lost, and once a day, when one new image is enough.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from clickbait import aws
from clickbait.errors import Conflict, Unavailable
from clickbait.keys import LOCK_PARTITION
from clickbait.observability import logger
from clickbait.settings import settings
from clickbait.store.runs import FAILED, Parameters, Runs
from clickbait.store.trained import digest, list_images, read_trained

TIMER = "quiet"
"""Sort key of the debounce timer: `last_upload`, and `due`, the time of its message."""
TIMER_MESSAGE = {"action": "quiet"}
MAX_DELAY_SECONDS = 900
"""The longest that SQS delays a message."""


@dataclass(frozen=True)
class Triggers:
    """Starts trainings on uploads and schedules."""

    runs: Runs
    data_bucket: str
    models_bucket: str
    uploads_queue: str
    min_new_images: int
    quiet_period: int

    @classmethod
    def from_settings(cls) -> Self:
        """Raises Unavailable if the process has no table."""
        config = settings()
        return cls(
            Runs.from_settings(),
            config.data_bucket,
            config.models_bucket,
            config.uploads_queue,
            config.min_new_images,
            config.quiet_period,
        )

    def on_upload(self) -> None:
        """Record that images arrived, and start the debounce timer if it is not running."""
        now = time.time()
        started = self._update_timer(
            "SET last_upload = :now, due = :due",
            {":now": now, ":due": now + self.quiet_period},
            "attribute_not_exists(due) OR due <= :now",
        )
        if started:
            self._schedule_check(self.quiet_period)
        else:
            self._update_timer("SET last_upload = :now", {":now": now})

    def on_timer(self) -> str | None:
        """The debounce timer fired: restart it for the rest of the quiet period, or start a run if
        enough images are new. Returns the run's id."""
        seconds = self._seconds_until_quiet()
        if seconds > 0:
            self._update_timer("SET due = :due", {":due": time.time() + seconds})
            self._schedule_check(seconds)
            return None
        return self.start_if_enough(self.min_new_images, "uploads")

    def reconcile(self) -> str | None:
        """Settle an interrupted run, then start one if enough images are new and none arrive."""
        self.runs.settle()
        if self._seconds_until_quiet() > 0:
            return None
        return self.start_if_enough(self.min_new_images, "uploads")

    def on_schedule(self) -> str | None:
        """The daily check: settle an interrupted run. Then start one if any image is new."""
        self.runs.settle()
        return self.start_if_enough(1, "schedule")

    def start_if_enough(self, least: int, trigger: str) -> str | None:
        """Start a run if `least` images are new, and return its id, else None.

        No run starts if the last one had exactly these images. Images stay new if their run failed,
        or if the live model contradicts their labels. The next run then needs other uploads, an
        admin, or, after a failure, the daily schedule.
        """
        if self.runs.active():
            return None
        images = list_images(self.data_bucket)
        new = len(read_trained(self.models_bucket).unseen(images))
        if new < least:
            logger.info("too few new images", new=new, least=least)
            return None
        last = self.runs.latest()
        same_images = last is not None and last.get("listing") == digest(images)
        if last and same_images and not (trigger == "schedule" and last["state"] == FAILED):
            logger.info("the last run had the same images", run=last["id"])
            return None
        try:
            reason = f"{new} new images are waiting for a training."
            run = self.runs.request(trigger, Parameters(), reason)
        except (Conflict, Unavailable) as problem:
            logger.warning("no run started", reason=problem.detail)
            return None
        return str(run["id"])

    def _seconds_until_quiet(self) -> float:
        timer = aws.get_item(self.runs.table, LOCK_PARTITION, TIMER) or {}
        last_upload: float = timer.get("last_upload", 0.0)
        return last_upload + self.quiet_period - time.time()

    def _schedule_check(self, seconds: float) -> None:
        # Rounded up, because a message that comes a moment early only restarts the timer.
        aws.client("sqs").send_message(
            QueueUrl=self.uploads_queue,
            MessageBody=json.dumps(TIMER_MESSAGE),
            DelaySeconds=min(int(seconds) + 1, MAX_DELAY_SECONDS),
        )

    def _update_timer(
        self, expression: str, values: Mapping[str, float], condition: str = ""
    ) -> bool:
        timer = aws.update_item(
            self.runs.table, LOCK_PARTITION, TIMER, expression, values, condition=condition
        )
        return timer is not None
