"""The clients of AWS's services: boto3 is imported for the first of them, each is made once, and a
snapshot's are dropped."""

from functools import cache
from typing import Any


@cache
def client(service: str) -> Any:
    """The one client of `service` in this process.

    Few and short tries: whoever waits behind it gave up after 30 s, and SQS, schedules and the next
    request try again by themselves.
    """
    import boto3
    from botocore.config import Config

    quick = Config(
        connect_timeout=2,
        read_timeout=5,
        retries={"total_max_attempts": 2, "mode": "standard"},
        max_pool_connections=32,
    )
    return boto3.client(service, config=quick)  # type: ignore[call-overload]


def forget_clients() -> None:
    """Have every client made anew: after a SnapStart restore their connections are dead."""
    client.cache_clear()


def faults() -> tuple[type[Exception], ...]:
    """The exceptions of every client, for `except aws.faults():`."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


def is_transport_fault(error: Exception) -> bool:
    """Whether a call broke before AWS answered it."""
    from botocore.exceptions import BotoCoreError

    return isinstance(error, BotoCoreError)


def status_of(error: Exception) -> int | None:
    """The HTTP status of a botocore ClientError; None for anything else."""
    response = getattr(error, "response", {})
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode") if response else None
