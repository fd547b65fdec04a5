"""The cost of a month, idle, busy or flooded, item by item: python loadtest/cost.py

The inputs are measured times and sizes (the options) and dated list prices of us-east-1. Free
tiers, discounts and taxes are left out, because they differ by account.
"""

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

HOURS_A_MONTH = 730
MILLION = 1_000_000
GB = 1e9
GATEWAY_UNIT = 512 * 1024
"""Bytes of a metered request of HTTP API; a larger request counts as several."""

WRITE_UNIT = 1024
"""Bytes of a write request unit of DynamoDB."""


@dataclass(frozen=True)
class Price:
    """Dollars for one unit, with the source and its date."""

    dollars: float
    unit: str
    source: str
    seen: str


AWS = "aws.amazon.com/{}/pricing, from memory, not checked again"
READ = "2026-11"
"""When the sources were read; a source's own date is in its text."""

PRICES: Mapping[str, Price] = {
    "lambda": Price(0.0000166667, "GB-s, x86_64", AWS.format("lambda"), READ),
    "invocations": Price(0.20 / MILLION, "invocation", "git.mcrn.ar lambda-13-cost.md", READ),
    "gateway": Price(1.00 / MILLION, "HTTP API request", "appropri8 tutorial, 2025-12-02", READ),
    "write": Price(0.625 / MILLION, "on-demand write unit", "airbyte.com dynamodb-pricing", READ),
    "table": Price(0.25, "GB-month", AWS.format("dynamodb"), READ),
    "logs": Price(0.50, "GB taken in", "factualminds.com cloudwatch, 2026-06-13", READ),
    "log storage": Price(0.03, "GB-month", AWS.format("cloudwatch"), READ),
    "backup": Price(0.20, "GB-month, point-in-time recovery", AWS.format("dynamodb"), READ),
    "metric": Price(0.30, "metric-month, by the hour", AWS.format("cloudwatch"), READ),
    "metric read": Price(0.01 / 1000, "metric of GetMetricData", AWS.format("cloudwatch"), READ),
    "trace": Price(5.00 / MILLION, "trace", AWS.format("xray"), READ),
    "alarm": Price(0.10, "alarm-month", AWS.format("cloudwatch"), READ),
    "out": Price(0.09, "GB to the internet", "appropri8 tutorial, 2025-12-02", READ),
    "secret": Price(0.40, "secret-month", AWS.format("secrets-manager"), READ),
    "bucket": Price(0.023, "GB-month, S3 Standard", AWS.format("s3"), READ),
    "put": Price(5.0 / MILLION, "S3 PUT", AWS.format("s3"), READ),
    "get": Price(0.4 / MILLION, "S3 GET", AWS.format("s3"), READ),
    "queue": Price(0.40 / MILLION, "SQS request", AWS.format("sqs"), READ),
    "registry": Price(0.10, "GB-month, ECR", AWS.format("ecr"), READ),
    "fargate cpu": Price(0.03238, "vCPU-hour, ARM", "vantage.sh fargate-pricing", READ),
    "fargate memory": Price(0.00356, "GB-hour, ARM", "vantage.sh fargate-pricing", READ),
    "balancer": Price(0.0225, "ALB-hour", AWS.format("elasticloadbalancing"), READ),
    "address": Price(0.005, "public IPv4-hour", AWS.format("vpc"), READ),
    "google": Price(1.50 / 1000, "image, to 5 million", "cloud.google.com/vision/pricing", READ),
    "rekognition": Price(
        4.00, "inference unit-hour", "fire-detection-from-images#17, 2021-01", READ
    ),
    "s3 batch job": Price(0.25, "job", AWS.format("s3"), READ),
    "s3 batch object": Price(1.00 / MILLION, "object", AWS.format("s3"), READ),
    "transition": Price(0.025 / 1000, "transition", "aws.amazon.com/step-functions/pricing", READ),
}
"""Prices of us-east-1; `python loadtest/cost.py --prices` prints them."""

REKOGNITION_IMAGES_A_SECOND = 5.0
"""Maximum of an inference unit: "can support up to 5 transactions per second", AWS's
amazon-rekognition-custom-labels-demo, 2019."""


@dataclass(frozen=True)
class Measured:
    """The measured inputs. The defaults are for a 1280 x 720 JPEG of 210 KB; measure those marked
    so on your own stack."""

    milliseconds: float = 25.0
    """Billed, warm; measure it. 10 ms of work on x86, 5 ms for the history, and a margin."""
    memory_mb: int = 1_769
    """The function's memory in the template."""
    cold_share: float = 0.01
    """Share of requests that start a process; measure it in your own traffic."""
    cold_milliseconds: float = 1_000.0
    """The billed INIT phase; measure it."""
    image_bytes: int = 210_000
    answer_bytes: int = 1_000
    """With headers."""
    log_bytes: int = 1_154
    """1,100 for the platform's lines and one EMF line, measured on the local stack, and 54 for the
    metric Memory, counted."""
    access_log_bytes: int = 175
    """A line of the API's access log, counted; API Gateway writes it beside the functions'."""
    row_bytes: int = 435
    """335 for a row of the history with its names, and 100 that DynamoDB adds; counted."""
    kept_days: float = 30.0

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) < 0:
                raise ValueError(f"{each.name} is {getattr(self, each.name)}; the minimum is 0")


@dataclass(frozen=True)
class Idle:
    """The resources of the template that cost money without any request."""

    secrets: int = 1
    alarmed_metrics: int = 28
    """CloudWatch bills an alarm by its metrics; `tests/template` checks the number. Without an
    AlarmEmail there are only five, which are free."""
    free_alarms: int = 10
    """Free in every account, for ever; so are `free_queue_requests`."""
    versions_gb: float = 0.3
    """Ten versions of a model with their weights and plots."""
    image_gb: float = 1.0
    """Compressed size of the training image."""
    queue_requests: int = 1_950_000
    """Lambda's polls of three idle queues."""
    free_queue_requests: int = MILLION
    schedules: int = 4 * HOURS_A_MONTH + 30
    """Calls of the retrain function: every 15 minutes, and daily."""
    schedule_seconds: float = 0.5
    schedule_memory_mb: int = 1_769


def million(m: Measured) -> dict[str, float]:
    """Dollars for a million predictions through the API, by item."""
    seconds = (m.milliseconds + m.cold_share * m.cold_milliseconds) / 1e3
    months = m.kept_days * 24 / HOURS_A_MONTH
    rows_gb = MILLION * m.row_bytes / GB
    logs_gb = MILLION * m.log_bytes / GB
    access_gb = MILLION * m.access_log_bytes / GB
    return {
        "function: time": _of("lambda", MILLION * seconds * m.memory_mb / 1024),
        "function: invocations": _of("invocations", MILLION),
        "gateway": _of("gateway", MILLION * _units(m.image_bytes, GATEWAY_UNIT)),
        "history: writes": _of("write", MILLION * _units(m.row_bytes, WRITE_UNIT)),
        "history: 30 days of storage": _of("table", rows_gb * months),
        "history: backups": _of("backup", rows_gb * months),
        "logs: taken in": _of("logs", logs_gb),
        "access log: taken in": _of("logs", access_gb),
        "logs: 30 days of storage": _of("log storage", (logs_gb + access_gb) * months),
        "answers to the internet": _of("out", MILLION * m.answer_bytes / GB),
    }


@dataclass(frozen=True)
class Watching:
    """A page that somebody keeps open; a hidden tab asks nothing."""

    hours: float = 160.0
    """Of a month: one page, all working hours."""
    requests_an_hour: float = 120 + 60 + 240
    """Status twice a minute, the figures every minute, and the last predictions four times."""
    metrics_an_hour: float = 12 * 32
    """A process asks CloudWatch for the last day every five minutes, for 32 metrics."""


METRICS = {"predict": 8, "admin": 4}
"""Metrics by function that have a value while people predict, and while a page is open: requests,
latency, memory, client errors; and of predict three classes and cold starts."""
FREE_METRICS = 10

TRACED_A_SECOND, TRACED_SHARE = 1.0, 0.05
"""X-Ray's default rule: the first request of each second, and 5% of the others."""

THROTTLE = 10.0
"""Requests a second that the template lets through."""


def watching(w: Watching) -> dict[str, float]:
    """Dollars for an open page, by item. A request takes 20 ms of 1,769 MB."""
    requests = w.hours * w.requests_an_hour
    calls = _of("gateway", requests) + _of("invocations", requests)
    extra = max(0, sum(METRICS.values()) - FREE_METRICS)
    return {
        "page: its requests": calls + _of("lambda", requests * 0.02 * 1_769 / 1024),
        "page: figures from CloudWatch": _of("metric read", w.hours * w.metrics_an_hour),
        "page: metrics of its own": _of("metric", extra * w.hours / HOURS_A_MONTH),
    }


def month(predictions: float, m: Measured, i: Idle, w: Watching) -> dict[str, float]:
    """Dollars for a month with so many predictions and one page that is watched, by item.

    The predictions keep eight metrics alive, which are free.
    """
    busy = {name: dollars * predictions / MILLION for name, dollars in million(m).items()}
    return busy | idle_month(i) | watching(w)


def traces_month(predictions: float) -> float:
    """Dollars for the traces of a month if Tracing is Active, with requests evenly spread."""
    first = min(predictions, TRACED_A_SECOND * HOURS_A_MONTH * 3_600)
    return _of("trace", first + TRACED_SHARE * (predictions - first))


def flood_month(m: Measured, i: Idle) -> float:
    """Dollars for a month of requests at the throttle: the most that strangers can cost. The
    template's budget mails long before."""
    requests = THROTTLE * HOURS_A_MONTH * 3_600
    return sum(million(m).values()) * requests / MILLION + sum(idle_month(i).values())


def idle_month(i: Idle) -> dict[str, float]:
    """Dollars for a month without requests, by item. Metrics cost nothing then, because they are
    billed in the hours in which they are written."""
    compute = i.schedules * i.schedule_seconds * i.schedule_memory_mb / 1024
    return {
        "the admin's token": _of("secret", i.secrets),
        "alarms": _of("alarm", max(0, i.alarmed_metrics - i.free_alarms)),
        "queues": _of("queue", max(0, i.queue_requests - i.free_queue_requests)),
        "stored versions": _of("bucket", i.versions_gb),
        "the training's container": _of("registry", i.image_gb),
        "schedules": _of("lambda", compute) + _of("invocations", i.schedules),
    }


def bulk_million(m: Measured, batch: int = 10) -> dict[str, float]:
    """Dollars for a million objects in `inbox/`, by item.

    A worker gets `batch` messages at a time and needs 20 ms to fetch an image from S3.
    """
    seconds = (m.milliseconds + 20.0) / 1e3
    calls = MILLION / batch
    return {
        "uploads": _of("put", MILLION),
        "reads": _of("get", MILLION),
        "queue: in, out and deleted": _of("queue", MILLION + 2 * calls),
        "function: time": _of("lambda", MILLION * seconds * m.memory_mb / 1024),
        "function: invocations": _of("invocations", calls),
        "rows and history: writes": _of("write", 2 * MILLION * _units(m.row_bytes, WRITE_UNIT)),
        "logs: taken in": _of("logs", calls * m.log_bytes / GB),
    }


def container_month(vcpus: float = 1, gb: float = 2, addresses: int = 3) -> float:
    """Dollars for an always-on container (Fargate, ARM) behind a load balancer."""
    compute = _of("fargate cpu", vcpus) + _of("fargate memory", gb)
    return HOURS_A_MONTH * (compute + _of("balancer", 1) + _of("address", addresses))


def elsewhere() -> dict[str, tuple[float, float]]:
    """Dollars for a million images and for an idle month, for the alternatives."""
    unit_hours = MILLION / REKOGNITION_IMAGES_A_SECOND / 3_600
    return {
        "Google Vision, one feature": (_of("google", MILLION), 0.0),
        "Rekognition Custom Labels, always at full load": (_of("rekognition", unit_hours), 0.0),
        "Rekognition Custom Labels, one unit kept on": (
            _of("rekognition", HOURS_A_MONTH),
            _of("rekognition", HOURS_A_MONTH),
        ),
        "a container kept on, 1 vCPU, 2 GB": (container_month(), container_month()),
    }


def break_even(m: Measured, i: Idle) -> float:
    """The predictions per month above which a container is cheaper than functions."""
    each = sum(million(m).values()) / MILLION
    return max(0.0, container_month() - sum(idle_month(i).values())) / each


def _of(name: str, units: float) -> float:
    return PRICES[name].dollars * units


def _units(size: float, unit: int) -> int:
    """The billed units of `size` bytes; at least one."""
    return max(1, math.ceil(size / unit))


def table(title: str, items: Mapping[str, float]) -> list[str]:
    """Items and their sum as Markdown."""
    lines = [f"| {title} | $ |", "|---|---|"]
    lines += [f"| {name} | {dollars:.2f} |" for name, dollars in items.items()]
    return [*lines, f"| **total** | **{sum(items.values()):.2f}** |", ""]


def report(m: Measured, i: Idle) -> list[str]:
    """The whole report as Markdown."""
    ours, idle = sum(million(m).values()), sum(idle_month(i).values())
    w = Watching()
    lines = ["| predictions a month, a page open | $ | with traces |", "|---|---|---|"]
    for predictions in (1_000, 100_000, MILLION):
        total = sum(month(predictions, m, i, w).values())
        lines.append(f"| {predictions:,} | {total:.2f} | {total + traces_month(predictions):.2f} |")
    flood = f"a flood of {THROTTLE:.0f} requests/s, all month"
    lines += [f"| {flood} | {flood_month(m, i):.2f} | |", ""]
    lines += table("a million predictions", million(m))
    lines += table("an open page", watching(w))
    lines += table("a million images in bulk", bulk_million(m))
    lines += table("an idle month", idle_month(i))
    silent = sum(idle_month(replace(i, alarmed_metrics=0)).values())
    lines += [f"Without an AlarmEmail an idle month costs {silent:.2f}.", ""]
    lines += ["| alternatives | $ a million | $ an idle month |", "|---|---|---|"]
    lines.append(f"| **this service** | **{ours:.2f}** | **{idle:.2f}** |")
    lines += [f"| {name} | {a:,.2f} | {b:,.2f} |" for name, (a, b) in elsewhere().items()]
    even = break_even(m, i)
    return [
        *lines,
        "",
        f"Above {even / MILLION:.1f} million predictions a month a container is cheaper, if one is "
        "enough.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for each in fields(Measured):
        name = "--" + each.name.replace("_", "-")
        parser.add_argument(name, type=type(each.default), default=each.default)
    parser.add_argument("--prices", action="store_true", help="print the prices and their sources")
    given = vars(parser.parse_args())
    if given.pop("prices"):
        for name, price in PRICES.items():
            print(f"{name:16} ${price.dollars:<12.10g} a {price.unit}: {price.source}")
        return
    print("\n".join(report(Measured(**given), Idle())))


if __name__ == "__main__":
    main()
