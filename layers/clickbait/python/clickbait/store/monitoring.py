"""The service's metrics from CloudWatch, and drift: how much its images differ from the training's.

Drift is the population stability index of the last day's predictions against the training images of
the live version, feature by feature. It shows that the input has changed, not that predictions are
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
"""Values of the dimension `service` of the functions that predict."""

FUNCTIONS = ("predict", "batch", "worker", "admin", "retrain", "learn")
"""Values of that dimension for all functions."""

LATENCY_SERVICE = "predict"
"""The service whose latency stands for all, because percentiles cannot be added up."""

WINDOWS = {"1h": (3_600, 60), "24h": (86_400, 3_600), "7d": (604_800, 3_600)}
"""Seconds of a window, and of a point in it. A chart has at most 168 points."""

PERCENTILES = ("p50", "p95", "p99")

FUNCTION_FIGURES = {name: ("Latency", name) for name in PERCENTILES} | {
    "invocations": ("Latency", "SampleCount"),
    "memory": ("Memory", "Maximum"),
}
"""Figures of a function, each with its metric and statistic. Every invocation has a latency, so
the number of invocations needs no metric of its own."""

COUNTS = {
    "requests": "Requests",
    "client_errors": "ClientErrors",
    "faults": "Faults",
    "cold_starts": "ColdStarts",
    "clickbait": "PredictedClickbait",
    "legitimate": "PredictedLegitimate",
    "uncertain": "PredictedUncertain",
    "not_logged": "HistoryWriteFailure",
}
"""Counts and the metrics whose sums they are. An `uncertain` prediction also has a class; one that
was `not_logged` is missing from the history, and so from the drift."""

DRIFTING = ("brightness", "contrast", "saturation", "score")
"""The features whose drift is computed; `score` is the probability."""
DRIFT_HOURS = 24
DRIFT_ROWS = 10_000
"""The most predictions of a day that are read, the newest: 4 MB of the table."""

BINS = 10
"""Deciles of the training images, as is usual for the index."""

MODERATE_DRIFT, LARGE_DRIFT = 0.1, 0.25
"""Drift thresholds. Below the first, nothing has changed; from the second on, the population is
another one. N. Siddiqi, "Credit Risk Scorecards", 2006, chapter 8; also arXiv 2303.01227."""

MIN_DRIFT_SAMPLE = 200
"""The fewest predictions for an index. Without drift, it is (1/n + 1/m) times a chi-square of
BINS - 1 degrees (B. Yurdakul, "Statistical properties of population stability index", 2018). At
n = 200 and m = 1,500 it then exceeds 0.1 once in 25 times, and 0.25 never; at n = 50, it exceeds
0.25 once in 5 times."""

DRIFT_CACHE_SECONDS = 300.0
"""How long a computed drift is kept, because computing it reads up to 4 MB of the table."""

Window = Literal["1h", "24h", "7d"]


def metrics(window: Window, functions: Sequence[str] = FUNCTIONS) -> dict[str, Any]:
    """The figures of `_metrics`, asked of CloudWatch rarely (`_keep_seconds`).

    CloudWatch costs a cent for a thousand metrics: here are some 50, or 32 without the figures of
    each function. With public access strangers may ask as often as the API lets them.
    """
    key = (window, *functions)
    kept = _windows.get(key)
    if kept is None or time.monotonic() - kept[0] > _keep_seconds(window):
        kept = _windows[key] = (time.monotonic(), _metrics(window, functions))
    return kept[1]


_windows: dict[tuple[str, ...], tuple[float, dict[str, Any]]] = {}


def _keep_seconds(window: Window) -> int:
    """How long a window is kept: `Settings.metrics_cache`, five times as long if its points are
    hours."""
    return settings().metrics_cache * (1 if window == "1h" else 5)


def _metrics(window: Window, names: Sequence[str]) -> dict[str, Any]:
    """Totals of the window that ends now, and its points by minute or hour, oldest first.

    Latency is that of LATENCY_SERVICE in milliseconds, None without requests. If CloudWatch splits
    the window in two, its totals are means weighted by requests. `functions` has the figures of
    the functions `names`, among them LATENCY_SERVICE.
    """
    seconds, step = WINDOWS[window]
    # Whole steps, so that a point covers the same time in every response. The last is unfinished.
    end = (int(time.time()) // step + 1) * step
    start = end - seconds
    series = _read(start, end, step, seconds, names)
    points = []
    for at in range(start, end, step):
        sums = {name: _sum(series, name, at) for name in COUNTS}
        latency = {p: _rounded(series[f"{p}_{step}"].get(at)) for p in PERCENTILES}
        points.append({"at": _iso(at), **sums, "latency_ms": latency})
    functions = {name: _function(series, name) for name in names}
    totals: dict[str, Any] = {name: sum(point[name] for point in points) for name in COUNTS}
    totals["latency_ms"] = functions[LATENCY_SERVICE]["duration_ms"]
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
        "functions": [{"function": name} | figures for name, figures in functions.items()],
    }


Series = Mapping[str, Mapping[int, float]]
"""Values by query and time."""


def _function(series: Series, name: str) -> dict[str, Any]:
    """The figures of one function over the whole window."""
    invocations = series[f"invocations_of_{name}"]
    return {
        "invocations": round(sum(invocations.values())),
        "duration_ms": {p: _weighted(series[f"{p}_of_{name}"], invocations) for p in PERCENTILES},
        "memory_mb": _rounded(max(series[f"memory_of_{name}"].values(), default=None)),
        # The template gives every function the same limit, so this process's is that of all.
        "memory_limit_mb": MEMORY_LIMIT_MB,
    }


def _read(start: int, end: int, step: int, window: int, functions: Sequence[str]) -> Series:
    """The counts of each service and the percentiles by `step`, and the figures of `functions` over
    the `window`, all in seconds."""
    queries = [
        _query(f"{name}_{service}", metric, service, step, "Sum")
        for name, metric in COUNTS.items()
        for service in SERVICES
    ]
    queries += [_query(f"{p}_{step}", "Latency", LATENCY_SERVICE, step, p) for p in PERCENTILES]
    queries += [
        _query(f"{name}_of_{function}", metric, function, window, stat)
        for function in functions
        for name, (metric, stat) in FUNCTION_FIGURES.items()
    ]
    series: dict[str, dict[int, float]] = {query["Id"]: {} for query in queries}
    more: dict[str, Any] = {}
    while True:
        page = aws.client("cloudwatch").get_metric_data(
            MetricDataQueries=queries,
            StartTime=datetime.fromtimestamp(start, UTC),
            EndTime=datetime.fromtimestamp(end, UTC),
            **more,
        )
        for result in page["MetricDataResults"]:
            times = (int(at.timestamp()) for at in result["Timestamps"])
            series[result["Id"]].update(zip(times, result["Values"], strict=True))
        if not page.get("NextToken"):
            return series
        more = {"NextToken": page["NextToken"]}


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


def _sum(series: Series, name: str, at: int) -> int:
    return round(sum(series[f"{name}_{service}"].get(at, 0) for service in SERVICES))


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
    """The content of a version's `reference.json`: deciles of its training images, and counts.

    `features` has the `inference.appearance` of each training image at the model's input size.
    `scores` has the probabilities of images that the model did not learn from, because it is too
    sure of those it learned from.
    """
    images = list(features)
    samples = {name: [image[name] for image in images] for name in DRIFTING if name != "score"}
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
    """The number of `values` in each bin between `edges`; the outer bins are open."""
    places = np.searchsorted(np.round(edges, 6), values, side="left")
    return np.bincount(places, minlength=len(edges) + 1)


def psi(reference: Mapping[str, Any], sample: Sequence[float]) -> float:
    """Population stability index of `sample` against one feature of a `reference`.

    It is the sum over bins of (p - q) ln(p / q). Half an image is added to each bin, so that an
    empty bin has a logarithm.
    """
    expected = np.asarray(reference["counts"], np.float64) + 0.5
    edges = np.asarray(reference["edges"], np.float64)
    actual = _counts(edges, np.asarray(sample, np.float64)) + 0.5
    p, q = actual / actual.sum(), expected / expected.sum()
    return float(((p - q) * np.log(p / q)).sum())


def level(value: float) -> Literal["none", "moderate", "large"]:
    """The level of an index."""
    return "large" if value >= LARGE_DRIFT else "moderate" if value >= MODERATE_DRIFT else "none"


_cached: tuple[float, dict[str, Any]] | None = None


def drift() -> dict[str, Any]:
    """The index of each feature over the last day, computed every DRIFT_CACHE_SECONDS at most.

    If an index cannot be computed, `psi` and `level` are None and `reason` says why. `largest` is
    the largest index.
    """
    global _cached  # noqa: PLW0603 - the last result of this process
    if _cached is None or time.monotonic() - _cached[0] > DRIFT_CACHE_SECONDS:
        _cached = (time.monotonic(), _drift())
    return _cached[1]


def forget() -> None:
    """Make the next calls ask for the metrics and compute the drift again."""
    global _cached  # noqa: PLW0603
    _cached = None
    _windows.clear()


def _drift() -> dict[str, Any]:
    version, expected, missing = _reference()
    table = settings().table
    rows = history.recent(table, DRIFT_HOURS, DRIFT_ROWS) if expected and table else ()
    samples: dict[str, list[float]] = {name: [] for name in DRIFTING}
    for row in rows:
        seen = dict(row["features"] or {})
        if row["model_version"] == version:
            seen["score"] = row["probability"]
        for name in samples.keys() & seen:
            samples[name].append(seen[name])
    features = {
        name: _feature_drift(expected.get(name), sample, missing)
        for name, sample in samples.items()
    }
    indices = [each["psi"] for each in features.values() if each["psi"] is not None]
    largest = max(indices, default=None)
    return {
        "model_version": version,
        "hours": DRIFT_HOURS,
        "thresholds": {"moderate": MODERATE_DRIFT, "large": LARGE_DRIFT},
        "largest": largest,
        "level": None if largest is None else level(largest),
        "features": features,
    }


def _feature_drift(
    expected: Mapping[str, Any] | None, sample: Sequence[float], missing: str
) -> dict[str, Any]:
    reason = None
    if expected is None:
        reason = missing or "The live version's reference lacks this feature."
    elif len(sample) < MIN_DRIFT_SAMPLE:
        reason = f"Needs {MIN_DRIFT_SAMPLE} predictions in {DRIFT_HOURS} h ({len(sample)} so far)."
    value = None if reason or expected is None else round(psi(expected, sample), 4)
    return {
        "psi": value,
        "level": None if value is None else level(value),
        "sample": len(sample),
        "reason": reason,
    }


def _reference() -> tuple[str | None, dict[str, Any], str]:
    """The live version, its `reference.json`, and the reason if it has none."""
    config = settings()
    bucket = config.models_bucket
    try:
        pointer = Registry(bucket).pointer() if bucket else None
        promoted = pointer.version if pointer else ""
        version = promoted or baseline_version(config.model_folder)
        if promoted:
            try:
                return version, json.loads(Registry(bucket).file(version, "reference.json")), ""
            except NotFound:
                if version != baseline_version(config.model_folder):
                    raise
        return version, json.loads((config.model_folder / "reference.json").read_bytes()), ""
    except (NotFound, OSError):
        return version, {}, f"Version {version} has no reference.json to compare with."
    except (Problem, ValueError) as error:
        return None, {}, f"The live version's reference cannot be read: {error}"


def emit_drift() -> dict[str, Any]:
    """Compute the drift now and count the largest index as the metric Drift, for an alarm.

    Without an index, nothing is counted, and the alarm decides what missing data means. The caller
    flushes.
    """
    forget()
    result = drift()
    if result["largest"] is not None:
        count("Drift", result["largest"], "None")
    logger.info("drift", **{name: each["psi"] for name, each in result["features"].items()})
    return result
