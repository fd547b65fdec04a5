"""Sends the metrics in the functions' log lines to CloudWatch, which on AWS reads them itself.

Format: "Specification: Embedded metric format" in the Amazon CloudWatch user guide.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

POLL_SECONDS = 1.0
IDLE_SHARE = 9
"""The pause after a read is at least nine times as long as the read, so that reading logs takes at
most a tenth of a core, in this process and in the emulator."""

OVERLAP_MS = 10_000
"""An event gets its time before it is stored, so each read overlaps the last one by this much."""

EVENTS_A_READ = 10_000
"""The maximum of filter_log_events; the emulator returns no token for the rest."""

STREAMS_KEPT = 10_000
"""The emulator creates a log stream for each invocation, and each read visits all of them."""

VALUES_A_DATUM = 150
DATA_A_CALL = 500
"""Half of PutMetricData's limit of 1,000: a call is at most 1 MB, dimensions included."""

PLATFORM_LINES = ("START RequestId:", "END RequestId:", "REPORT RequestId:")


class Series(NamedTuple):
    """One metric with its dimensions in one second."""

    namespace: str
    name: str
    unit: str
    dimensions: tuple[tuple[str, str], ...]
    second: int


def values_of(line: str) -> Iterator[tuple[Series, float]]:
    """The values in an EMF line, each once per set of dimensions.

    Yields nothing for other lines, and stops at the first error in the format.
    """
    if '"_aws"' not in line:
        return
    try:
        document = json.loads(line)
        second = int(document["_aws"]["Timestamp"]) // 1000
        for directive in document["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                values = document.get(metric["Name"], [])
                for dimensions in directive.get("Dimensions") or [[]]:
                    series = Series(
                        directive["Namespace"],
                        metric["Name"],
                        metric.get("Unit", "None"),
                        tuple((name, str(document[name])) for name in dimensions),
                        second,
                    )
                    for value in values if isinstance(values, list) else [values]:
                        yield series, float(value)
    except (ValueError, KeyError, TypeError, AttributeError):
        return


def metric_data(lines: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """MetricData for PutMetricData by namespace; values of one series and second share a datum."""
    gathered: defaultdict[Series, list[float]] = defaultdict(list)
    for line in lines:
        for series, value in values_of(line):
            gathered[series].append(value)
    data: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for series, values in gathered.items():
        for start in range(0, len(values), VALUES_A_DATUM):
            some = values[start : start + VALUES_A_DATUM]
            data[series.namespace].append(
                {
                    "MetricName": series.name,
                    "Unit": series.unit,
                    "Timestamp": series.second,
                    "Dimensions": [{"Name": n, "Value": v} for n, v in series.dimensions],
                    "Values": some,
                    "Counts": [1.0] * len(some),
                }
            )
    return data


class LogReader:
    """Reads the output of the functions: sends metrics to CloudWatch, writes the rest to a file."""

    def __init__(self, logs: Any, cloudwatch: Any, groups: list[str], file: Path) -> None:
        self._logs = logs
        self._cloudwatch = cloudwatch
        self._groups = groups
        self._file = file
        self._since = dict.fromkeys(groups, int(time.time() * 1000))
        self._seen: dict[str, dict[str, int]] = {group: {} for group in groups}
        self._streams = dict.fromkeys(groups, 0)

    def trim(self) -> None:
        """Empty the log groups of an earlier run, which the emulator would keep."""
        for group in self._groups:
            self._empty(group)

    def read(self) -> float:
        """Process all new lines; return the number of seconds to wait before the next read."""
        started = time.monotonic()
        lines = [(g, line) for group in self._groups for g, line in self._new_lines(group)]
        for namespace, data in metric_data(line for _, line in lines).items():
            for start in range(0, len(data), DATA_A_CALL):
                some = data[start : start + DATA_A_CALL]
                self._cloudwatch.put_metric_data(Namespace=namespace, MetricData=some)
        with self._file.open("a") as file:
            file.writelines(f"{group}  {line}\n" for group, line in lines if '"_aws"' not in line)
        for group, streams in self._streams.items():
            if streams > STREAMS_KEPT:  # The newest lines may be lost with them.
                self._empty(group)
        return max(POLL_SECONDS, IDLE_SHARE * (time.monotonic() - started))

    def _new_lines(self, group: str) -> Iterator[tuple[str, str]]:
        """The new lines of a group. A stream is written at once, so all of it is new or known."""
        known = self._seen[group]
        since = self._since[group]
        new: set[str] = set()
        for event in self._events(group, since - OVERLAP_MS):
            stream = event["logStreamName"]
            if stream not in known:
                known[stream] = event["timestamp"]
                new.add(stream)
                self._streams[group] += 1
            if stream in new:
                since = max(since, event["timestamp"])
                if not event["message"].startswith(PLATFORM_LINES):
                    yield group, event["message"]
        self._since[group] = since
        oldest = since - 2 * OVERLAP_MS
        self._seen[group] = {stream: at for stream, at in known.items() if at >= oldest}

    def _events(self, group: str, since: int) -> Iterator[dict[str, Any]]:
        """The events of a group since a time, oldest first."""
        while True:
            try:
                found = self._logs.filter_log_events(logGroupName=group, startTime=since)["events"]
            except self._logs.exceptions.ResourceNotFoundException:
                return  # The group has no line yet.
            if len(found) < EVENTS_A_READ:
                yield from found
                return
            # The limit may cut a millisecond, and with it an invocation, in two. Read that
            # millisecond again.
            last = found[-1]["timestamp"]
            yield from (event for event in found if event["timestamp"] < last)
            since = last if last > since else last + 1

    def _empty(self, group: str) -> None:
        """Delete all streams of a group in one call, by deleting the group."""
        found = self._logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        for described in found:
            if described["logGroupName"] == group:
                self._logs.delete_log_group(logGroupName=group)
                self._logs.create_log_group(logGroupName=group)
                if days := described.get("retentionInDays"):
                    self._logs.put_retention_policy(logGroupName=group, retentionInDays=days)
        self._streams[group] = 0
