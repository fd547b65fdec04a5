"""Waiting in tests: one deadline for everything.

Test machines are busy. A wait ends as soon as its condition holds, so a generous deadline costs
nothing; it only bounds how long a test takes to fail.
"""

import time
from collections.abc import Callable
from typing import TypeVar

DEADLINE = 600
"""Seconds, for every wait, subprocess and request; pytest's own timeout is longer."""

POLL_SECONDS = 0.1

T = TypeVar("T")


def eventually(condition: Callable[[], T]) -> T:
    """The first true value of `condition`, or its last value at the deadline."""
    until = time.monotonic() + DEADLINE
    while not (value := condition()) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    return value
