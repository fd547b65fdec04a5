"""Reports jobs to the cloud: their state changes as events, their output as log lines.

Only AWS itself may send events whose source begins with `aws.`, and the emulator refuses them too.
So this module tests the rules and calls the targets of those that match, as EventBridge would.
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

SEND_SECONDS = 0.5  # The lines of an interval share a call.

EVENTS_A_CALL = 1000
"""PutLogEvents takes 10,000 and 1 MB; at 1,000 characters a line, this is the megabyte."""

LINE_CHARACTERS = 1000  # Of a line in CloudWatch; the file has the whole line.

logger = logging.getLogger(__name__)

Detail = dict[str, Any]
"""One job in the format of DescribeJobs."""


class Reporter:
    """Accepts changes and lines at once and sends them in order in the background."""

    def __init__(self, cloud: Any, folder: Path) -> None:
        self._cloud = cloud
        self._folder = folder
        self._waiting: list[tuple[str, Detail, int, str]] = []
        self._streams: set[str] = set()
        self._closed = asyncio.Event()

    def changed(self, job: Detail) -> None:
        """Report a new state of a job, as an event and as a line in its log."""
        why = f": {job['statusReason']}" if job.get("statusReason") else ""
        self.line(job, f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {job['status']}{why}")
        self._waiting.append(("event", json.loads(json.dumps(job)), 0, ""))

    def line(self, job: Detail, text: str) -> None:
        """Report one line of a job's output."""
        with (self._folder / f"job-{job['jobName']}.log").open("a") as file:
            file.write(text + "\n")
        self._waiting.append(("line", job, int(time.time() * 1000), text))

    async def send(self) -> None:
        """Send reports until `close`, and then the remaining ones."""
        while not self._closed.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), SEND_SECONDS)
            await self._send_waiting()

    def close(self) -> None:
        """Make `send` return after the remaining reports."""
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
            except (BotoCoreError, ClientError) as error:  # The job goes on without its reports.
                logger.warning(
                    "Could not report of job %s: %s (%s)", these[0][1]["jobName"], error, kind
                )

    def _deliver(self, job: Detail) -> None:
        """Call the targets of every rule that matches a state change."""
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
        """The functions among the targets of the matching rules; there are no other targets."""
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
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_group(logGroupName=group)
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_stream(logGroupName=group, logStreamName=stream)
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
