"""How many users at which moment, and what their requests come to: arithmetic alone, no load."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

PROFILES = (10, 25, 50, 100, 200, 500)
"""Users of the runs that README tells of."""

RAMP_SECONDS = 120
MOST_USERS = 1_000
MOST_MINUTES = 30
MOST_REQUESTS = 500_000
"""A run ends at whichever comes first: against a cloud, every request is paid for."""

NORMAL = 2.0
"""Latency up to so many times the one before the load is normal again."""

NORMAL_IN_A_ROW = 5


@dataclass(frozen=True)
class Profile:
    """A linear ramp from one user to `users`, then all of them until `seconds` have passed."""

    users: int
    seconds: float
    ramp: float = RAMP_SECONDS

    def __post_init__(self) -> None:
        if not 1 <= self.users <= MOST_USERS:
            raise ValueError(f"USERS is {self.users}; it is 1 to {MOST_USERS}")
        if not 0 < self.seconds <= 60 * MOST_MINUTES:
            raise ValueError(f"MINUTES is {self.seconds / 60:g}; it is more than 0 to 30")
        if not 0 <= self.ramp < self.seconds:
            raise ValueError(
                f"RAMP is {self.ramp:g} s of {self.seconds:g} s: some must be left for all users"
            )

    def users_at(self, second: float) -> int:
        """Users so many seconds after the beginning; 0 when it is over."""
        if second >= self.seconds:
            return 0
        if second >= self.ramp:
            return self.users
        return max(1, round(self.users * second / self.ramp))


@dataclass(frozen=True)
class Sample:
    """One request: when it ended (seconds from the beginning), how long it took, how it went."""

    at: float
    name: str
    ms: float
    refused: bool = False
    """503 with Retry-After, or 429: the service is full and says so."""
    failed: bool = False
    """Any other answer that is not 2xx, or none at all."""


@dataclass(frozen=True)
class Summary:
    """A line of the table; milliseconds of answered requests, NaN where there are none."""

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
    """What `samples` of a phase of so many seconds come to."""
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
    """The least of sorted `values` that `share` percent of them do not exceed; NaN of none."""
    if not values:
        return float("nan")
    rank = -(-len(values) * share // 100)
    return values[max(0, int(rank) - 1)]


def recovery(ends: float, probes: Sequence[Sample], before: float) -> float | None:
    """Seconds from `ends` until probes are normal: the first of NORMAL_IN_A_ROW that were all
    answered within NORMAL times `before` milliseconds. None where they never were."""
    after = [p for p in probes if p.at >= ends]
    good = [not (p.refused or p.failed) and p.ms <= NORMAL * before for p in after]
    for i in range(len(after) - NORMAL_IN_A_ROW + 1):
        if all(good[i : i + NORMAL_IN_A_ROW]):
            return after[i].at - ends
    return None


def by_second(samples: Sequence[Sample]) -> list[tuple[int, list[Sample]]]:
    """Samples by the second in which they ended, without gaps."""
    if not samples:
        return []
    seconds: dict[int, list[Sample]] = {n: [] for n in range(int(max(s.at for s in samples)) + 1)}
    for sample in samples:
        seconds[int(sample.at)].append(sample)
    return list(seconds.items())


def busy(samples: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Processor time (at, seconds used so far) as cores busy between each two of them."""
    return [(b[0], (b[1] - a[1]) / (b[0] - a[0])) for a, b in pairwise(samples) if b[0] > a[0]]
