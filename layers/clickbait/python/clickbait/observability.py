"""The one logger and the one metrics object; in Lambda both write JSON lines that CloudWatch
understands."""

import os

from aws_lambda_powertools import Logger, Metrics

SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "clickbait")
NAMESPACE = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Clickbait")

IN_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
"""Metrics are log lines there, which CloudWatch reads for nothing; elsewhere nobody would read
them."""

logger = Logger(service=SERVICE)
metrics = Metrics(service=SERVICE, namespace=NAMESPACE)


def count(name: str, value: float = 1, unit: str = "Count") -> None:
    """Add `value` to a metric of the request at hand; nothing outside Lambda."""
    if IN_LAMBDA:
        metrics.add_metric(name, unit, value)


def flush() -> None:
    """Write the metrics gathered since the last call, if any, as one EMF line."""
    if IN_LAMBDA and metrics.metric_set:
        metrics.flush_metrics()
