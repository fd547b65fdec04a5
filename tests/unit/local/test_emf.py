"""The output of functions is read once: metrics go to CloudWatch, the rest to the log file."""

import json

import pytest

from local import emf
from local.emf import LogReader, metric_data


def line(value=1.0, second=100, **changes) -> str:
    document = {
        "_aws": {
            "Timestamp": second * 1000 + 250,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Clickbait",
                    "Dimensions": [["service"], []],
                    "Metrics": [{"Name": "Latency", "Unit": "Milliseconds"}],
                }
            ],
        },
        "service": "predict",
        "Latency": value,
    }
    return json.dumps(document | changes)


def test_each_set_of_dimensions_gets_the_value():
    (one, other) = metric_data([line(12.5)])["Clickbait"]
    assert one == {
        "MetricName": "Latency",
        "Unit": "Milliseconds",
        "Timestamp": 100,
        "Dimensions": [{"Name": "service", "Value": "predict"}],
        "Values": [12.5],
        "Counts": [1.0],
    }
    assert other["Dimensions"] == []


def test_values_of_one_second_share_a_datum_and_those_of_another_do_not():
    data = metric_data([line(1), line([2, 3]), line(4, second=101)])["Clickbait"]
    with_service = [d for d in data if d["Dimensions"]]
    assert [(d["Timestamp"], d["Values"]) for d in with_service] == [(100, [1, 2, 3]), (101, [4])]


def test_a_datum_has_no_more_values_than_cloudwatch_takes():
    data = metric_data([line(list(range(301)))])["Clickbait"]
    assert [len(d["Values"]) for d in data if d["Dimensions"]] == [150, 150, 1]


@pytest.mark.parametrize(
    "other",
    [
        "plain text",
        "",
        '{"level": "INFO"}',
        '{"_aws": 1}',
        '{"_aws": {"CloudWatchMetrics": "x", "Timestamp": 1}}',
        '"_aws" and no JSON',
        line("slow"),
        line(None),
    ],
)
def test_a_line_that_is_no_metric_is_none(other):
    assert metric_data([other]) == {}


class Gone(Exception):
    """The client's ResourceNotFoundException."""


class FakeLogs:
    """As the emulator's: a stream an invocation, all of its lines at one time, no tokens."""

    class exceptions:
        ResourceNotFoundException = Gone

    def __init__(self):
        self.groups: dict[str, dict[str, list[dict]]] = {}
        self.retention: dict[str, int] = {}

    def invoke(self, group: str, at: int, *lines: str) -> None:
        streams = self.groups.setdefault(group, {})
        name = f"stream-{len(streams)}"
        streams[name] = [
            {"logStreamName": name, "timestamp": at, "message": text}
            for text in ("START RequestId: 1", *lines, "END RequestId: 1")
        ]

    def filter_log_events(self, logGroupName: str, startTime: int) -> dict:
        if logGroupName not in self.groups:
            raise Gone
        events = [e for stream in self.groups[logGroupName].values() for e in stream]
        events = sorted(
            (e for e in events if e["timestamp"] >= startTime), key=lambda e: e["timestamp"]
        )
        return {"events": events[: emf.EVENTS_A_READ]}

    def describe_log_groups(self, logGroupNamePrefix: str) -> dict:
        names = [n for n in self.groups if n.startswith(logGroupNamePrefix)]
        return {"logGroups": [{"logGroupName": n, "retentionInDays": 30} for n in names]}

    def delete_log_group(self, logGroupName: str) -> None:
        del self.groups[logGroupName]

    def create_log_group(self, logGroupName: str) -> None:
        self.groups[logGroupName] = {}

    def put_retention_policy(self, logGroupName: str, retentionInDays: int) -> None:
        self.retention[logGroupName] = retentionInDays


class FakeCloudWatch:
    def __init__(self):
        self.values: list[float] = []

    def put_metric_data(self, Namespace: str, MetricData: list[dict]) -> None:
        self.values += [v for d in MetricData if d["Dimensions"] for v in d["Values"]]


NOW = 1_800_000_000_000


@pytest.fixture
def logs():
    return FakeLogs()


@pytest.fixture
def cloudwatch():
    return FakeCloudWatch()


@pytest.fixture
def reader(logs, cloudwatch, tmp_path, monkeypatch):
    monkeypatch.setattr(emf.time, "time", lambda: NOW / 1000)
    return LogReader(logs, cloudwatch, ["/aws/lambda/a"], tmp_path / "functions.log")


def test_every_line_is_taken_in_once_also_those_that_come_late(reader, logs, cloudwatch, tmp_path):
    reader.read()  # Before the group exists.
    logs.invoke("/aws/lambda/a", NOW + 500, line(1), "said one")
    reader.read()
    logs.invoke("/aws/lambda/a", NOW + 400, line(2), "said two")
    logs.invoke("/aws/lambda/a", NOW + 60_000, line(3), "said three")
    reader.read()
    reader.read()
    logs.invoke("/aws/lambda/a", NOW + 59_000, line(4))
    reader.read()
    assert cloudwatch.values == [1, 2, 3, 4]
    kept = (tmp_path / "functions.log").read_text().splitlines()
    assert kept == [f"/aws/lambda/a  said {x}" for x in ("one", "two", "three")]


def test_more_lines_than_one_answer_holds_are_all_taken_in(reader, logs, cloudwatch, monkeypatch):
    monkeypatch.setattr(emf, "EVENTS_A_READ", 10)
    for i in range(25):
        logs.invoke("/aws/lambda/a", NOW + i // 2, line(i))
    reader.read()
    assert sorted(cloudwatch.values) == list(range(25))


def test_the_logs_of_an_earlier_run_are_emptied_and_keep_their_retention(reader, logs):
    logs.invoke("/aws/lambda/a", NOW - 1, "old")
    logs.invoke("/aws/lambda/ab", NOW - 1, "of another function")
    reader.trim()
    assert logs.groups["/aws/lambda/a"] == {}
    assert logs.retention == {"/aws/lambda/a": 30}
    assert logs.groups["/aws/lambda/ab"]


def test_the_emulator_never_holds_more_streams_than_the_limit(reader, logs, monkeypatch):
    monkeypatch.setattr(emf, "STREAMS_KEPT", 3)
    for i in range(4):
        logs.invoke("/aws/lambda/a", NOW + i, line(i))
    reader.read()
    assert logs.groups["/aws/lambda/a"] == {}


def test_a_slow_read_is_followed_by_a_long_pause(reader, logs, monkeypatch):
    assert reader.read() == emf.POLL_SECONDS
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(emf.time, "monotonic", lambda: next(clock))
    assert reader.read() == 18.0
