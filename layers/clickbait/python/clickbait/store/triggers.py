"""When a training starts by itself: enough new images, and nobody is uploading any more.

New is an image whose content no run has trained on. Uploads only start a clock (one delayed message
at a time); when it rings and nothing has arrived for the quiet period, the images are counted. The
same count is made when a run ends, every 15 minutes (a message may be lost), and once a day, when
one new image is enough.
"""

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any, Self

from clickbait import aws
from clickbait.errors import Conflict, Unavailable
from clickbait.keys import LOCK_PARTITION, TRAIN, TRAINED, label_of
from clickbait.observability import logger
from clickbait.settings import settings
from clickbait.store.runs import FAILED, Parameters, Runs

TIMER = {"pk": {"S": LOCK_PARTITION}, "sk": {"S": "quiet"}}
TIMER_MESSAGE = {"action": "quiet"}

Listing = dict[str, str]
"""Key -> ETag."""


def list_images(bucket: str, prefix: str = TRAIN) -> Listing:
    """Every labelled image below `prefix` of the data bucket."""
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {
        found["Key"]: found["ETag"].strip('"')
        for page in pages
        for found in page.get("Contents", [])
        if label_of(found["Key"], prefix)
    }


def digest(images: Listing) -> str:
    """SHA-256 of a listing: the same images under the same names."""
    lines = sorted(f"{etag} {key}" for key, etag in images.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def trained_etags(models_bucket: str) -> set[str]:
    """ETags of all images that a run has trained on, or looked at and left out."""
    from botocore.exceptions import ClientError

    try:
        body = aws.client("s3").get_object(Bucket=models_bucket, Key=TRAINED)["Body"].read()
    except ClientError as error:
        if aws.status_of(error) == 404:
            return set()
        raise
    return set(json.loads(body))


def mark_trained(models_bucket: str, images: Listing) -> None:
    """Add `images` to what runs have trained on. One run at a time does this."""
    known = sorted(trained_etags(models_bucket) | set(images.values()))
    aws.client("s3").put_object(Bucket=models_bucket, Key=TRAINED, Body=json.dumps(known).encode())


@dataclass(frozen=True)
class Triggers:
    """The decision, with what it looks at."""

    runs: Runs
    data_bucket: str
    models_bucket: str
    uploads_queue: str
    min_new_images: int
    quiet_period: int

    @classmethod
    def from_settings(cls) -> Self:
        """Raises Unavailable where the process has no table."""
        c = settings()
        return cls(
            Runs.from_settings(),
            c.data_bucket,
            c.models_bucket,
            c.uploads_queue,
            c.min_new_images,
            c.quiet_period,
        )

    def on_upload(self) -> None:
        """Images arrived: start the clock, unless it runs already."""
        now = time.time()
        if not self._write(
            "SET last_upload = :now, due = :due",
            {":now": now, ":due": now + self.quiet_period},
            "attribute_not_exists(due) OR due <= :now",
        ):
            self._write("SET last_upload = :now", {":now": now})
            return
        self._schedule_check(self.quiet_period)

    def on_timer(self) -> str | None:
        """The clock rang: start it again for what is left of the quiet period, or count."""
        left = self._seconds_until_quiet()
        if left > 0:
            self._write("SET due = :due", {":due": time.time() + left})
            self._schedule_check(left)
            return None
        return self.start_if_enough(self.min_new_images, "uploads")

    def reconcile(self) -> str | None:
        """Finish what was left half done, and count, unless images are arriving."""
        self.runs.settle()
        return (
            None
            if self._seconds_until_quiet() > 0
            else self.start_if_enough(self.min_new_images, "uploads")
        )

    def on_schedule(self) -> str | None:
        """As `reconcile`, and one new image is enough."""
        self.runs.settle()
        return self.start_if_enough(1, "schedule")

    def start_if_enough(self, least: int, trigger: str) -> str | None:
        """Start a run where `least` images are new; the run's id, or None.

        Not for the very images that the last run ended with (labels that the live model contradicts
        stay new, and so do those of a run that failed): uploads of others, the day's schedule after
        a failure, or an admin start the next.
        """
        if self.runs.active():
            return None
        images = list_images(self.data_bucket)
        known = trained_etags(self.models_bucket)
        new = sum(etag not in known for etag in images.values())
        if new < least:
            logger.info("too few new images", new=new, least=least)
            return None
        last = self.runs.latest()
        again = last is not None and last.get("listing") == digest(images)
        if last and again and not (trigger == "schedule" and last["state"] == FAILED):
            logger.info("the last run looked at these very images", run=last["id"])
            return None
        try:
            run = self.runs.request(trigger, Parameters(), f"{new} new images wait for a training.")
        except (Conflict, Unavailable) as problem:
            logger.warning("no run was started", reason=problem.detail)
            return None
        return str(run["id"])

    def _seconds_until_quiet(self) -> float:
        """Seconds for which it is not yet quiet."""
        table, db = self.runs.table, self.runs.db
        item: Any = db.get_item(TableName=table, Key=TIMER, ConsistentRead=True).get("Item", {})
        last = float(item.get("last_upload", {}).get("N", "0"))
        return last + self.quiet_period - time.time()

    def _schedule_check(self, seconds: float) -> None:
        # Rounded up: a clock that rings a moment early only has to be started once more.
        aws.client("sqs").send_message(
            QueueUrl=self.uploads_queue,
            MessageBody=json.dumps(TIMER_MESSAGE),
            DelaySeconds=min(int(seconds) + 1, 900),
        )

    def _write(self, update: str, values: dict[str, float], condition: str = "") -> bool:
        db = self.runs.db
        only: Any = {"ConditionExpression": condition} if condition else {}
        try:
            db.update_item(
                TableName=self.runs.table,
                Key=TIMER,
                UpdateExpression=update,
                ExpressionAttributeValues={name: {"N": repr(v)} for name, v in values.items()},
                **only,
            )
        except db.exceptions.ConditionalCheckFailedException:
            return False
        return True
