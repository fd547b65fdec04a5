"""How the service does, from CloudWatch; and whether its images still look like those it learned
from.

Drift is the population stability index of the last day's predictions against the images of the
live version's training, feature by feature. It says that the input changed, not that answers are
wrong.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from clickbait import aws
from clickbait.errors import NotFound, Problem
from clickbait.observability import MEMORY_LIMIT_MB, NAMESPACE, count, logger
from clickbait.settings import settings
from clickbait.store import history
from clickbait.store.registry import Registry, baseline_version

SERVICES = ("predict", "batch", "worker")
"""Values of the metrics' dimension `service`, in each of which predictions are made."""

FUNCTIONS = ("predict", "batch", "worker", "admin", "retrain")
"""Values of that dimension for all functions."""

WAITED_FOR = "predict"
"""Its latency is the one told of all: percentiles of several services cannot be put together."""

WINDOWS = {"1h": (3_600, 60), "24h": (86_400, 3_600), "7d": (604_800, 3_600)}
"""Seconds of the window and of a point in it: at most 168 points, a chart's width."""

PERCENTILES = ("p50", "p95", "p99")

OF_A_FUNCTION = {name: ("Latency", name) for name in PERCENTILES} | {
    "invocations": ("Latency", "SampleCount"),
    "memory": ("Memory", "Maximum"),
}
"""Figures of a function, each with its metric and statistic: what was counted to have taken time is
what was invoked, without one more metric."""

COUNTS = {
    "requests": "Requests",
    "client_errors": "ClientErrors",
    "faults": "Faults",
    "cold_starts": "ColdStarts",
    "clickbait": "PredictedClickbait",
    "legitimate": "PredictedLegitimate",
    "uncertain": "PredictedUncertain",
}
"""Counts of an answer, and the metrics they are sums of. `uncertain` ones have a class as well."""

DRIFTING = ("brightness", "contrast", "saturation", "score")
DRIFT_HOURS = 24
DRIFT_ROWS = 10_000
"""The newest of a day that are looked at: 4 MB of the table."""

BINS = 10
"""Deciles of the training images, as is usual for the index."""

MODERATE, LARGE = 0.1, 0.25
"""Below the first: no change; from the second: another population. N. Siddiqi, "Credit Risk
Scorecards", 2006, chapter 8; the same thresholds in arXiv 2303.01227."""

LEAST_SAMPLE = 200
"""Without any drift the index is (1/n + 1/m) times a chi-square of BINS - 1 degrees (B. Yurdakul,
"Statistical properties of population stability index", 2018). At n = 200, m = 1,500 it then exceeds
0.1 once in 25 times and 0.25 never; at n = 50 it would exceed 0.25 once in 5."""

DRIFT_SECONDS = 300.0
"""How long a computed drift is told again: it reads up to 4 MB of the table."""

Window = Literal["1h", "24h", "7d"]


def metrics(window: Window) -> dict[str, Any]:
    """Totals of the window that ends now, and its points by minute or hour, oldest first.

    Latency is in milliseconds, of the service `predict`, null where there were no requests; its
    totals over a window that CloudWatch cuts in two are means weighted by requests. `functions`
    has the same of each function, and its memory.
    """
    seconds, step = WINDOWS[window]
    # On whole steps, so that points mean the same in each answer; the last is not over yet.
    end = (int(time.time()) // step + 1) * step
    start = end - seconds
    got = _read(start, end, step, seconds)
    points = []
    for at in range(start, end, step):
        sums = {name: _sum(got, name, at) for name in COUNTS}
        latency = {p: _rounded(got[f"{p}_{step}"].get(at)) for p in PERCENTILES}
        points.append({"at": _iso(at), **sums, "latency_ms": latency})
    functions = {name: _function(got, name) for name in FUNCTIONS}
    totals: dict[str, Any] = {name: sum(point[name] for point in points) for name in COUNTS}
    totals["latency_ms"] = functions[WAITED_FOR]["duration_ms"]
    totals["error_rate"] = _share(totals["client_errors"] + totals["faults"], totals["requests"])
    predicted = totals["clickbait"] + totals["legitimate"]
    totals["shares"] = {
        name: _share(totals[name], predicted) for name in ("clickbait", "legitimate", "uncertain")
    }
    return {
        "window": window,
        "from": _iso(start),
        "to": _iso(end),
        "step_seconds": step,
        "totals": totals,
        "points": points,
        "functions": [{"function": name} | told for name, told in functions.items()],
    }


def _function(got: Mapping[str, Mapping[int, float]], name: str) -> dict[str, Any]:
    """What one function did in the whole window."""
    took = got[f"invocations_of_{name}"]
    return {
        "invocations": round(sum(took.values())),
        "duration_ms": {p: _weighted(got[f"{p}_of_{name}"], took) for p in PERCENTILES},
        "memory_mb": _rounded(max(got[f"memory_of_{name}"].values(), default=None)),
        # Every function of the template may have as much as this one, which answers for all.
        "memory_limit_mb": MEMORY_LIMIT_MB,
    }


def _read(start: int, end: int, step: int, seconds: int) -> dict[str, dict[int, float]]:
    """Values by query and time; a query is a count of a service or a percentile by step, or a
    figure of a function over the window."""
    queries = [
        _query(f"{name}_{service}", metric, service, step, "Sum")
        for name, metric in COUNTS.items()
        for service in SERVICES
    ]
    queries += [_query(f"{p}_{step}", "Latency", WAITED_FOR, step, p) for p in PERCENTILES]
    queries += [
        _query(f"{name}_of_{function}", metric, function, seconds, stat)
        for function in FUNCTIONS
        for name, (metric, stat) in OF_A_FUNCTION.items()
    ]
    client = aws.client("cloudwatch")
    got: dict[str, dict[int, float]] = {query["Id"]: {} for query in queries}
    more: dict[str, Any] = {}
    while True:
        answer = client.get_metric_data(
            MetricDataQueries=queries,
            StartTime=datetime.fromtimestamp(start, UTC),
            EndTime=datetime.fromtimestamp(end, UTC),
            **more,
        )
        for result in answer["MetricDataResults"]:
            times = (int(at.timestamp()) for at in result["Timestamps"])
            got[result["Id"]].update(zip(times, result["Values"], strict=True))
        if not answer.get("NextToken"):
            return got
        more = {"NextToken": answer["NextToken"]}


def _query(name: str, metric: str, service: str, period: int, stat: str) -> Any:
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": NAMESPACE,
                "MetricName": metric,
                "Dimensions": [{"Name": "service", "Value": service}],
            },
            "Period": period,
            "Stat": stat,
        },
    }


def _sum(got: Mapping[str, Mapping[int, float]], name: str, at: int) -> int:
    return round(sum(got[f"{name}_{service}"].get(at, 0) for service in SERVICES))


def _weighted(values: Mapping[int, float], weights: Mapping[int, float]) -> float | None:
    total = sum(weights.get(at, 0) for at in values)
    if not total:
        return None
    return _rounded(sum(value * weights.get(at, 0) for at, value in values.items()) / total)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


# --- drift ---------------------------------------------------------------------------------------


def reference(
    features: Iterable[Mapping[str, float]], scores: Sequence[float]
) -> dict[str, dict[str, Any]]:
    """What a training keeps as `reference.json`: the deciles of its images, and their shares.

    `features` are `clickbait.store.history.features` of the training images at the model's input
    size; `scores` are calibrated probabilities of images that the model did not learn from, for
    those of its own are too sure.
    """
    known = list(features)
    samples = {name: [one[name] for one in known] for name in DRIFTING if name != "score"}
    return {name: _deciles(values) for name, values in (samples | {"score": list(scores)}).items()}


def _deciles(values: Sequence[float]) -> dict[str, Any]:
    array = np.asarray(values, np.float64)
    inner = np.unique(np.quantile(array, np.arange(1, BINS) / BINS)) if len(array) else array
    return {
        "edges": [round(float(edge), 6) for edge in inner],
        "counts": _counts(inner, array).tolist(),
    }


def _counts(
    edges: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """How many of `values` lie between each two edges; the outer bins have no end."""
    places = np.searchsorted(np.round(edges, 6), values, side="left")
    return np.bincount(places, minlength=len(edges) + 1)


def psi(reference: Mapping[str, Any], sample: Sequence[float]) -> float:
    """Population stability index of `sample` against one feature of a `reference`.

    The sum over bins of (p - q) ln(p / q), with half an image added to each bin, so that empty ones
    have a logarithm.
    """
    expected = np.asarray(reference["counts"], np.float64) + 0.5
    edges = np.asarray(reference["edges"], np.float64)
    actual = _counts(edges, np.asarray(sample, np.float64)) + 0.5
    p, q = actual / actual.sum(), expected / expected.sum()
    return float(((p - q) * np.log(p / q)).sum())


def level(value: float) -> Literal["none", "moderate", "large"]:
    """What an index means."""
    return "large" if value >= LARGE else "moderate" if value >= MODERATE else "none"


_known: tuple[float, dict[str, Any]] | None = None


def drift() -> dict[str, Any]:
    """The last day's index of each of DRIFTING, computed at most every DRIFT_SECONDS.

    `psi` and `level` are null where they cannot be told, with the `reason`; `largest` is the
    largest of those that can.
    """
    global _known  # noqa: PLW0603 - what this process computed last
    if _known is None or time.monotonic() - _known[0] > DRIFT_SECONDS:
        _known = (time.monotonic(), _drift())
    return _known[1]


def forget() -> None:
    """Compute the drift anew at the next call."""
    global _known  # noqa: PLW0603
    _known = None


def _drift() -> dict[str, Any]:
    version, known, missing = _reference()
    rows = (
        history.recent(settings().table, DRIFT_HOURS, DRIFT_ROWS)
        if known and settings().table
        else []
    )
    features = {}
    for name in DRIFTING:
        if name == "score":
            sample = [row["probability"] for row in rows if row["model_version"] == version]
        else:
            sample = [row["features"][name] for row in rows if row["features"]]
        features[name] = _told(known.get(name), sample, missing)
    told = [each["psi"] for each in features.values() if each["psi"] is not None]
    largest = max(told, default=None)
    return {
        "model_version": version,
        "hours": DRIFT_HOURS,
        "thresholds": {"moderate": MODERATE, "large": LARGE},
        "largest": largest,
        "level": None if largest is None else level(largest),
        "features": features,
    }


def _told(known: Mapping[str, Any] | None, sample: Sequence[float], missing: str) -> dict[str, Any]:
    reason = None
    if known is None:
        reason = missing or "The live version's reference does not have it."
    elif len(sample) < LEAST_SAMPLE:
        reason = (
            f"{len(sample)} predictions in {DRIFT_HOURS} h say nothing of it: it takes "
            f"{LEAST_SAMPLE}."
        )
    value = None if reason or known is None else round(psi(known, sample), 4)
    return {
        "psi": value,
        "level": None if value is None else level(value),
        "sample": len(sample),
        "reason": reason,
    }


def _reference() -> tuple[str | None, dict[str, Any], str]:
    """The live version, its `reference.json`, and where there is none, why."""
    config = settings()
    bucket = config.models_bucket
    try:
        pointer = Registry(bucket).pointer() if bucket else None
        version = pointer.version if pointer else baseline_version(config.model_folder)
        if pointer:
            try:
                return version, json.loads(Registry(bucket).file(version, "reference.json")), ""
            except NotFound:
                if version != baseline_version(config.model_folder):
                    raise
        return version, json.loads((config.model_folder / "reference.json").read_bytes()), ""
    except (NotFound, OSError):
        return version, {}, f"Version {version} was made without a reference.json to compare with."
    except (Problem, ValueError) as error:
        return None, {}, f"The live version's reference cannot be read: {error}"


def emit_drift() -> dict[str, Any]:
    """Compute the drift now and count it as the metric Drift, the largest index, for an alarm.

    No metric where it cannot be told: an alarm takes missing data as it is told to. The caller
    flushes.
    """
    forget()
    told = drift()
    if told["largest"] is not None:
        count("Drift", told["largest"], "None")
    logger.info("drift", **{name: each["psi"] for name, each in told["features"].items()})
    return told
