"""The one logger and the one metrics object. In Lambda both write JSON lines for CloudWatch."""

import os
import re
from pathlib import Path

from aws_lambda_powertools import Logger, Metrics

SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "clickbait")
NAMESPACE = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Clickbait")

IN_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
"""Metrics are written only in Lambda, as log lines that CloudWatch reads at no cost."""

MEMORY_LIMIT_MB = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0")) or None
"""The memory that Lambda gives this process, in MB; None elsewhere."""

PROCESS = Path("/proc/self/status")
"""The kernel's figures for this process. The peak that getrusage reports starts at that of the
parent process, and the local stack's emulator is four times as large as the functions."""

logger = Logger(service=SERVICE)
metrics = Metrics(service=SERVICE, namespace=NAMESPACE)


def count(name: str, value: float = 1, unit: str = "Count") -> None:
    """Add `value` to a metric of the current request; does nothing outside Lambda."""
    if IN_LAMBDA:
        metrics.add_metric(name, unit, value)


def count_invocation(seconds: float) -> None:
    """Count the time of an invocation (Latency) and the peak memory of this process (Memory, in
    MiB, which Lambda calls MB)."""
    if IN_LAMBDA:
        count("Latency", 1e3 * seconds, "Milliseconds")
        memory = peak_memory_mb()
        if memory is not None:
            count("Memory", memory, "Megabytes")


def peak_memory_mb() -> float | None:
    """Peak resident memory of this process, in MiB; None where the kernel does not say it, which
    must fail no request. Takes 25 us."""
    try:
        found = re.search(rb"(?m)^VmHWM:\s+(\d+) kB$", PROCESS.read_bytes())
    except OSError:
        return None
    return round(int(found[1]) / 1024, 1) if found else None


def flush() -> None:
    """Write the metrics since the last call, if any, as one EMF line."""
    if IN_LAMBDA and metrics.metric_set:
        metrics.flush_metrics()
