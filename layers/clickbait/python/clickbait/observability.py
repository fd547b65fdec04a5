"""The one logger and the one metrics object; in Lambda both write JSON lines that CloudWatch
understands."""

import os
import re
from pathlib import Path

from aws_lambda_powertools import Logger, Metrics

SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "clickbait")
NAMESPACE = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Clickbait")

IN_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
"""Metrics are log lines there, which CloudWatch reads for nothing; elsewhere nobody would read
them."""

MEMORY_LIMIT_MB = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0")) or None
"""What Lambda gives this process; None elsewhere."""

PROCESS = Path("/proc/self/status")
"""What the kernel tells of this process. Not getrusage: its peak begins with that of the process
which started this one, and the local stack's emulator is four times as large as what it starts."""

logger = Logger(service=SERVICE)
metrics = Metrics(service=SERVICE, namespace=NAMESPACE)


def count(name: str, value: float = 1, unit: str = "Count") -> None:
    """Add `value` to a metric of the request at hand; nothing outside Lambda."""
    if IN_LAMBDA:
        metrics.add_metric(name, unit, value)


def count_invocation(seconds: float) -> None:
    """Count what an invocation took: its time as Latency, and as Memory the most that this process
    has ever held, in MB as Lambda counts them (MiB)."""
    if IN_LAMBDA:
        count("Latency", 1e3 * seconds, "Milliseconds")
        count("Memory", peak_memory_mb(), "Megabytes")


def peak_memory_mb() -> float:
    """The most resident memory that this process has ever held, in MiB; 25 us. On Linux only."""
    (kib,) = re.findall(rb"(?m)^VmHWM:\s+(\d+) kB$", PROCESS.read_bytes())
    return round(int(kib) / 1024, 1)


def flush() -> None:
    """Write the metrics gathered since the last call, if any, as one EMF line."""
    if IN_LAMBDA and metrics.metric_set:
        metrics.flush_metrics()
