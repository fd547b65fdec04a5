"""Load profiles and the summary of samples: pure arithmetic."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

RAMP_SECONDS = 120
MAX_USERS = 1_000
MAX_MINUTES = 30
MAX_REQUESTS = 500_000
"""Limits of a run, because in a cloud every request costs money."""

NORMAL = 2.0
"""Latency is normal up to this multiple of the latency before the load."""

NORMAL_IN_A_ROW = 5


@dataclass(frozen=True)
class Profile:
    """A linear ramp from one user to `users`, who stay until `seconds` have passed."""

    users: int
    seconds: float
    ramp: float = RAMP_SECONDS

    def __post_init__(self) -> None:
        if not 1 <= self.users <= MAX_USERS:
            raise ValueError(f"USERS is {self.users}; the range is 1 to {MAX_USERS}")
        if not 0 < self.seconds <= 60 * MAX_MINUTES:
            raise ValueError(f"MINUTES is {self.seconds / 60:g}; the range is above 0, up to 30")
        if not 0 <= self.ramp < self.seconds:
            raise ValueError(
                f"RAMP is {self.ramp:g} s of {self.seconds:g} s: leave some for all users"
            )

    def users_at(self, second: float) -> int:
        """The number of users at a second of the run; 0 after its end."""
        if second >= self.seconds:
            return 0
        if second >= self.ramp:
            return self.users
        return max(1, round(self.users * second / self.ramp))


@dataclass(frozen=True)
class Sample:
    """One request: its end (seconds since the start of the run), its duration and its result."""

    at: float
    name: str
    ms: float
    refused: bool = False
    """503 with Retry-After, or 429: the service is full."""
    failed: bool = False
    """Any other response that is not 2xx, or none."""


@dataclass(frozen=True)
class Summary:
    """A row of the table, with milliseconds of answered requests, or NaN if there are none."""

    requests: int
    per_second: float
    mean: float
    p50: float
    p95: float
    p99: float
    refused: int
    refused_p95: float
    failed: int


def summary(samples: Sequence[Sample], seconds: float) -> Summary:
    """The summary of the samples of a phase that lasted `seconds`."""
    answered = sorted(s.ms for s in samples if not (s.refused or s.failed))
    refused = sorted(s.ms for s in samples if s.refused)
    return Summary(
        requests=len(samples),
        per_second=len(answered) / seconds,
        mean=statistics.fmean(answered) if answered else float("nan"),
        p50=percentile(answered, 50),
        p95=percentile(answered, 95),
        p99=percentile(answered, 99),
        refused=len(refused),
        refused_p95=percentile(refused, 95),
        failed=sum(s.failed for s in samples),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The percentile (nearest rank) of sorted `values`; NaN if there are none."""
    if not values:
        return float("nan")
    rank = -(-len(values) * share // 100)
    return values[max(0, int(rank) - 1)]


def recovery(ends: float, probes: Sequence[Sample], before: float) -> float | None:
    """Seconds from `ends` to the first of NORMAL_IN_A_ROW probes within NORMAL times `before` ms.

    None if there are no such probes.
    """
    after = [p for p in probes if p.at >= ends]
    good = [not (p.refused or p.failed) and p.ms <= NORMAL * before for p in after]
    for i in range(len(after) - NORMAL_IN_A_ROW + 1):
        if all(good[i : i + NORMAL_IN_A_ROW]):
            return after[i].at - ends
    return None


def by_second(samples: Sequence[Sample]) -> list[tuple[int, list[Sample]]]:
    """The samples by the second of their end, without gaps."""
    if not samples:
        return []
    seconds: dict[int, list[Sample]] = {n: [] for n in range(int(max(s.at for s in samples)) + 1)}
    for sample in samples:
        seconds[int(sample.at)].append(sample)
    return list(seconds.items())


def busy(samples: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The number of busy cores over time, from samples (time, CPU seconds used so far)."""
    return [(b[0], (b[1] - a[1]) / (b[0] - a[0])) for a, b in pairwise(samples) if b[0] > a[0]]
