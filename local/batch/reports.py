"""What the cloud learns of a job: its state changes as events, its output as log lines.

The emulator refuses events whose source begins with `aws.`, as AWS does from anybody but itself. So
the rules are asked whether they match, and their targets are called, as EventBridge would.
"""

import asyncio
import contextlib
import json
import logging
import time
import uuid
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.batch.definitions import ACCOUNT, log_group
from local.settings import REGION

SEND_SECONDS = 0.5
"""Between two rounds of sending: lines of that time share a call."""

EVENTS_A_CALL = 1000
"""PutLogEvents takes 10,000 and 1 MB; at 1,000 characters a line, this is the megabyte."""

LINE_CHARACTERS = 1000
"""A line is cut here in CloudWatch, and whole in the file."""

logger = logging.getLogger(__name__)

Detail = dict[str, Any]
"""One job, as DescribeJobs answers it."""


class Reports:
    """Takes changes and lines at once, sends them in their order in the background."""

    def __init__(self, cloud: Any, folder: Path) -> None:
        self._cloud = cloud
        self._folder = folder
        self._waiting: list[tuple[str, Detail, int, str]] = []
        self._streams: set[str] = set()
        self._closed = asyncio.Event()

    def changed(self, job: Detail) -> None:
        """The job is in another state: an event, and a line in its log."""
        why = f": {job['statusReason']}" if job.get("statusReason") else ""
        self.line(job, f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {job['status']}{why}")
        self._waiting.append(("event", json.loads(json.dumps(job)), 0, ""))

    def line(self, job: Detail, text: str) -> None:
        """One line of the job's output."""
        with (self._folder / f"job-{job['jobName']}.log").open("a") as file:
            file.write(text + "\n")
        self._waiting.append(("line", job, int(time.time() * 1000), text))

    async def send(self) -> None:
        """Send until `close`, and what is left then."""
        while not self._closed.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), SEND_SECONDS)
            await self._send_waiting()

    def close(self) -> None:
        """Nothing more will come."""
        self._closed.set()

    async def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for (kind, _), group in groupby(waiting, lambda each: (each[0], each[1]["jobId"])):
            these = list(group)
            try:
                if kind == "event":
                    for _, job, _, _ in these:
                        await asyncio.to_thread(self._deliver, job)
                else:
                    lines = [(at, text) for _, _, at, text in these]
                    await asyncio.to_thread(self._log, these[0][1], lines)
            except (BotoCoreError, ClientError) as error:  # The job is worth more than its reports.
                logger.warning("Of job %s an %s got lost: %s", these[0][1]["jobName"], kind, error)

    def _deliver(self, job: Detail) -> None:
        """Call the targets of every rule that a state change matches."""
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Batch Job State Change",
            "source": "aws.batch",
            "account": ACCOUNT,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "region": REGION,
            "resources": [job["jobArn"]],
            "detail": job,
        }
        text = json.dumps(event)
        for target in self._targets(text):
            self._cloud.client("lambda").invoke(
                FunctionName=target["Arn"],
                InvocationType="Event",
                Payload=target.get("Input", text).encode(),
            )

    def _targets(self, event: str) -> Iterator[dict[str, Any]]:
        """The functions among the targets of matching rules; nothing else takes these events."""
        events = self._cloud.client("events")
        for page in events.get_paginator("list_rules").paginate():
            for rule in page["Rules"]:
                pattern = rule.get("EventPattern")
                if not pattern or rule["State"] != "ENABLED":
                    continue
                if events.test_event_pattern(EventPattern=pattern, Event=event)["Result"]:
                    for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                        if ":lambda:" in target["Arn"]:
                            yield target

    def _log(self, job: Detail, lines: list[tuple[int, str]]) -> None:
        logs = self._cloud.client("logs")
        group, stream = log_group(job["container"]), job["container"]["logStreamName"]
        if stream not in self._streams:
            for make, names in (
                (logs.create_log_group, {"logGroupName": group}),
                (logs.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
            ):
                try:
                    make(**names)
                except logs.exceptions.ResourceAlreadyExistsException:
                    continue
            self._streams.add(stream)
        for start in range(0, len(lines), EVENTS_A_CALL):
            logs.put_log_events(
                logGroupName=group,
                logStreamName=stream,
                logEvents=[
                    {"timestamp": at, "message": text[:LINE_CHARACTERS] or " "}
                    for at, text in lines[start : start + EVENTS_A_CALL]
                ],
            )
