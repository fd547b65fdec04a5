"""The one logger and the one metrics object; in Lambda both write JSON lines that CloudWatch
understands."""

import os
import resource
import sys

from aws_lambda_powertools import Logger, Metrics

SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "clickbait")
NAMESPACE = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Clickbait")

IN_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
"""Metrics are log lines there, which CloudWatch reads for nothing; elsewhere nobody would read
them."""

MEMORY_LIMIT_MB = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0")) or None
"""What Lambda gives this process; None elsewhere."""

PEAK_UNITS_A_MB = 1024 * 1024 if sys.platform == "darwin" else 1024
"""getrusage tells the peak in KiB, and on macOS in bytes."""

logger = Logger(service=SERVICE)
metrics = Metrics(service=SERVICE, namespace=NAMESPACE)


def count(name: str, value: float = 1, unit: str = "Count") -> None:
    """Add `value` to a metric of the request at hand; nothing outside Lambda."""
    if IN_LAMBDA:
        metrics.add_metric(name, unit, value)


def count_invocation(seconds: float) -> None:
    """Count what an invocation took: its time as Latency, and as Memory the most that this process
    has ever held, in MB as Lambda counts them (MiB)."""
    count("Latency", 1e3 * seconds, "Milliseconds")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PEAK_UNITS_A_MB
    count("Memory", round(peak, 1), "Megabytes")


def flush() -> None:
    """Write the metrics gathered since the last call, if any, as one EMF line."""
    if IN_LAMBDA and metrics.metric_set:
        metrics.flush_metrics()
