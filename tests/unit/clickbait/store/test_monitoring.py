"""monitoring: rates and percentiles from CloudWatch; drift only if it can be computed."""

import json
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clickbait import aws
from clickbait.settings import CHECKOUT_BASELINE, Settings
from clickbait.store import history, monitoring

NOW = 1_790_000_030
"""In the middle of a minute, and not at the start of an hour."""


class CloudWatch:
    """GetMetricData over single values. Periods begin at multiples of their length."""

    def __init__(self, page: int = 1_000) -> None:
        self.values: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
        self.page = page

    def put(self, service: str, metric: str, at: int, *values: float) -> None:
        self.values[service, metric] += [(at, value) for value in values]

    def get_metric_data(
        self, *, MetricDataQueries: Any, StartTime: datetime, EndTime: datetime, NextToken: str = ""
    ) -> dict[str, Any]:
        first = int(NextToken or 0)
        found = []
        for query in MetricDataQueries[first : first + self.page]:
            stat = query["MetricStat"]
            metric = stat["Metric"]
            assert metric["Namespace"] == "Clickbait"
            ((service,),) = [[d["Value"] for d in metric["Dimensions"] if d["Name"] == "service"]]
            buckets: dict[int, list[float]] = defaultdict(list)
            for at, value in self.values[service, metric["MetricName"]]:
                if StartTime.timestamp() <= at < EndTime.timestamp():
                    buckets[at // stat["Period"] * stat["Period"]].append(value)
            values = {at: self._stat(stat["Stat"], some) for at, some in sorted(buckets.items())}
            times = [datetime.fromtimestamp(at, UTC) for at in values]
            found.append({"Id": query["Id"], "Timestamps": times, "Values": list(values.values())})
        more = first + self.page
        token = {"NextToken": str(more)} if more < len(MetricDataQueries) else {}
        return {"MetricDataResults": found, **token}

    @staticmethod
    def _stat(name: str, values: list[float]) -> float:
        known = {"Sum": sum, "SampleCount": len, "Maximum": max}
        return known[name](values) if name in known else np.percentile(values, float(name[1:]))


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> CloudWatch:
    fake = CloudWatch()
    monkeypatch.setattr(aws, "client", {"cloudwatch": fake}.__getitem__)
    monkeypatch.setattr(monitoring.time, "time", lambda: NOW)
    monitoring.forget()
    return fake


def test_a_window_is_asked_of_cloudwatch_once_a_minute_whoever_asks(
    cloudwatch: CloudWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, calls = [1_000.0], []
    monkeypatch.setattr(monitoring.time, "monotonic", lambda: now[0])
    answer = cloudwatch.get_metric_data

    def asked(**query: Any) -> dict[str, Any]:
        calls.append(now[0])
        return answer(**query)

    monkeypatch.setattr(cloudwatch, "get_metric_data", asked)
    for _ in range(5):
        monitoring.metrics("1h")
        monitoring.metrics("24h")
    now[0] += 60.1
    monitoring.metrics("1h")
    monitoring.metrics("24h")  # Its points are hours, so it is kept for five minutes.
    assert calls == [1_000.0, 1_000.0, 1_060.1]


def test_without_the_figures_of_functions_cloudwatch_is_asked_for_fewer_metrics(
    cloudwatch: CloudWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    answer = cloudwatch.get_metric_data

    def counted(**query: Any) -> dict[str, Any]:
        asked.append(len(query["MetricDataQueries"]))
        return answer(**query)

    monkeypatch.setattr(cloudwatch, "get_metric_data", counted)
    every = monitoring.metrics("24h")
    few = monitoring.metrics("24h", ("predict",))
    of_function = len(monitoring.FUNCTION_FIGURES)
    assert asked[0] - asked[1] == of_function * (len(monitoring.FUNCTIONS) - 1)
    assert few["totals"] == every["totals"]
    assert [one["function"] for one in few["functions"]] == ["predict"]


def test_counts_of_an_hour_are_summed_over_services_and_percentiles_are_not(
    cloudwatch: CloudWatch,
) -> None:
    cloudwatch.page = 5
    minute = NOW // 60 * 60
    for service in ("predict", "batch"):
        cloudwatch.put(service, "Requests", minute, 1, 1)
    cloudwatch.put("predict", "Requests", minute - 120, 1)
    cloudwatch.put("predict", "Latency", minute, 10, 20)
    cloudwatch.put("batch", "Latency", minute, 900)
    cloudwatch.put("predict", "Faults", minute, 1)
    cloudwatch.put("predict", "ClientErrors", minute - 120, 1)
    cloudwatch.put("worker", "PredictedClickbait", minute, 1, 1, 1)
    cloudwatch.put("predict", "PredictedLegitimate", minute, 1)
    cloudwatch.put("predict", "PredictedUncertain", minute, 1)
    cloudwatch.put("predict", "Requests", minute - 3_600, 1)  # A minute too old.
    result = monitoring.metrics("1h")
    assert len(result["points"]) == 60
    assert result["points"][-1]["at"] == datetime.fromtimestamp(minute, UTC).isoformat()
    assert result["points"][-1]["requests"] == 4
    assert result["points"][-1]["latency_ms"] == {"p50": 15, "p95": 19.5, "p99": 19.9}
    assert result["points"][-2]["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    totals = result["totals"]
    assert totals["requests"] == 5
    assert totals["error_rate"] == 0.4
    assert totals["shares"] == {"clickbait": 0.75, "legitimate": 0.25, "uncertain": 0.25}
    assert totals["latency_ms"]["p50"] == 15


@pytest.mark.parametrize(("window", "points", "step"), [("24h", 24, 3_600), ("7d", 168, 3_600)])
def test_days_have_a_point_for_each_hour(
    cloudwatch: CloudWatch, window: monitoring.Window, points: int, step: int
) -> None:
    cloudwatch.put("predict", "Requests", NOW, 1)
    cloudwatch.put("predict", "Requests", NOW - (points - 1) * step, 1)
    cloudwatch.put("predict", "Latency", NOW, 30)
    cloudwatch.put("predict", "Latency", NOW - (points - 1) * step, 10)
    result = monitoring.metrics(window)
    assert (len(result["points"]), result["step_seconds"]) == (points, step)
    assert (result["points"][0]["requests"], result["points"][-1]["requests"]) == (1, 1)
    assert result["totals"]["latency_ms"]["p50"] == 20


def test_each_function_reports_invocations_durations_and_memory(
    cloudwatch: CloudWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitoring, "MEMORY_LIMIT_MB", 1_769)
    cloudwatch.put("worker", "Latency", NOW, 100, 300)
    cloudwatch.put("worker", "Memory", NOW, 210.5, 180)
    cloudwatch.put("worker", "Memory", NOW - 3_000, 250.25)
    cloudwatch.put("retrain", "Latency", NOW - 3_000, 70)
    cloudwatch.put("retrain", "Latency", NOW - 3_700, 9_000)  # Too old.
    functions = monitoring.metrics("1h")["functions"]
    assert [one["function"] for one in functions] == [
        "predict", "batch", "worker", "admin", "retrain", "learn",
    ]  # fmt: skip
    figures = {one["function"]: one for one in functions}
    assert figures["worker"]["invocations"] == 2
    assert figures["worker"]["duration_ms"] == {"p50": 200, "p95": 290, "p99": 298}
    assert figures["worker"]["memory_mb"] == 250.25
    assert figures["retrain"]["invocations"] == 1
    assert figures["retrain"]["duration_ms"]["p99"] == 70
    assert figures["retrain"]["memory_mb"] is None
    assert figures["admin"] == {
        "function": "admin",
        "invocations": 0,
        "duration_ms": {"p50": None, "p95": None, "p99": None},
        "memory_mb": None,
        "memory_limit_mb": 1_769,
    }


def test_a_window_that_is_split_weighs_its_halves_by_invocations(
    cloudwatch: CloudWatch,
) -> None:
    hour = NOW // 3_600 * 3_600
    cloudwatch.put("batch", "Latency", hour - 1, *[10.0] * 3)
    cloudwatch.put("batch", "Latency", hour, 50)
    figures = {one["function"]: one for one in monitoring.metrics("1h")["functions"]}
    assert figures["batch"]["invocations"] == 4
    assert figures["batch"]["duration_ms"]["p50"] == 20


@pytest.mark.parametrize("window", ["1h", "24h", "7d"])
def test_all_metrics_are_one_call_that_cloudwatch_accepts(
    cloudwatch: CloudWatch, monkeypatch: pytest.MonkeyPatch, window: monitoring.Window
) -> None:
    calls: list[int] = []
    answer = cloudwatch.get_metric_data

    def asked(**query: Any) -> Any:
        names = [one["Id"] for one in query["MetricDataQueries"]]
        assert len(set(names)) == len(names)
        assert all(name[0].islower() and name.isidentifier() for name in names)
        calls.append(len(names))
        return answer(**query)

    monkeypatch.setattr(cloudwatch, "get_metric_data", asked)
    monitoring.metrics(window)
    assert len(calls) == 1
    assert calls[0] <= 500


def test_without_requests_there_is_no_rate_and_no_percentile(cloudwatch: CloudWatch) -> None:
    totals = monitoring.metrics("1h")["totals"]
    assert totals["requests"] == 0
    assert totals["error_rate"] is totals["latency_ms"]["p99"] is totals["shares"]["clickbait"]
    assert totals["error_rate"] is None


# --- drift


def appearances(rng: np.random.Generator, images: int, shift: float = 0) -> list[dict[str, float]]:
    return [
        {
            "brightness": float(rng.normal(120 + shift, 30)),
            "contrast": float(rng.normal(60, 10)),
            "saturation": float(rng.uniform(0.2, 0.7)),
            "colourfulness": 50.0,
        }
        for _ in range(images)
    ]


@pytest.fixture
def known() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return monitoring.reference(appearances(rng, 1_500), rng.uniform(size=1_500).tolist())


def test_a_reference_survives_json_and_holds_a_tenth_of_its_images_in_each_bin(
    known: dict[str, Any],
) -> None:
    assert json.loads(json.dumps(known)) == known
    assert set(known) == {"brightness", "contrast", "saturation", "score"}
    for one in known.values():
        assert len(one["edges"]) == 9
        assert one["counts"] == pytest.approx([150] * 10, abs=2)


def test_the_index_is_the_textbook_sum() -> None:
    two_bins = {"edges": [0.5], "counts": [500, 500]}
    sample = [0.1] * 800 + [0.9] * 200
    expected = (0.8 - 0.5) * np.log(0.8 / 0.5) + (0.2 - 0.5) * np.log(0.2 / 0.5)
    assert monitoring.psi(two_bins, sample) == pytest.approx(expected, abs=0.005)
    assert monitoring.psi(two_bins, [0.1, 0.9] * 500) == pytest.approx(0, abs=1e-6)
    assert np.isfinite(monitoring.psi(two_bins, [0.1] * 800))


@pytest.mark.parametrize(
    ("value", "means"),
    [(0.0, "none"), (0.0999, "none"), (0.1, "moderate"), (0.2499, "moderate"), (0.25, "large")],
)
def test_levels_begin_at_the_usual_thresholds(value: float, means: str) -> None:
    assert monitoring.level(value) == means


def test_the_smallest_sample_rarely_shows_drift_between_equal_images(known: dict[str, Any]) -> None:
    """Simulate the promise of MIN_DRIFT_SAMPLE."""
    rng = np.random.default_rng(1)

    def indices(size: int) -> np.ndarray:
        return np.array(
            [monitoring.psi(known["score"], rng.uniform(size=size).tolist()) for _ in range(1_000)]
        )

    enough = indices(monitoring.MIN_DRIFT_SAMPLE)
    assert (enough > monitoring.LARGE_DRIFT).sum() == 0
    assert 0.01 < (enough > monitoring.MODERATE_DRIFT).mean() < 0.07
    assert (indices(50) > monitoring.LARGE_DRIFT).mean() > 0.1


def test_repeated_values_have_fewer_bins_but_still_an_index() -> None:
    flat = monitoring.reference([], [0.0] * 90 + [1.0] * 10)["score"]
    assert sum(flat["counts"]) == 100
    assert monitoring.psi(flat, [0.0] * 90 + [1.0] * 10) == pytest.approx(0, abs=0.01)
    assert monitoring.psi(flat, [1.0] * 100) > monitoring.LARGE_DRIFT


@pytest.fixture
def folder(tmp_path: Path, known: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder with a reference, served by a process with a table."""
    (tmp_path / "metadata.json").write_bytes((CHECKOUT_BASELINE / "metadata.json").read_bytes())
    (tmp_path / "reference.json").write_text(json.dumps(known))
    config = Settings(model_path=tmp_path, table="table")
    monkeypatch.setattr(monitoring, "settings", lambda: config)
    monitoring.forget()
    return tmp_path


def today(
    monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, float]], version: str | None = None
) -> None:
    live = json.loads((CHECKOUT_BASELINE / "metadata.json").read_bytes())["model_version"]
    rng = np.random.default_rng(2)
    predictions = [
        {"probability": float(rng.uniform()), "model_version": version or live, "features": one}
        for one in rows
    ]
    monkeypatch.setattr(history, "recent", lambda *_: predictions)


def test_brighter_images_are_drift_only_in_brightness(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today(monkeypatch, appearances(np.random.default_rng(3), 500, shift=40))
    counted: list[tuple[str, float]] = []
    monkeypatch.setattr(monitoring, "count", lambda name, value, _: counted.append((name, value)))
    result = monitoring.emit_drift()
    assert result["level"] == result["features"]["brightness"]["level"] == "large"
    assert {result["features"][n]["level"] for n in ("contrast", "saturation", "score")} == {"none"}
    assert counted == [("Drift", result["largest"])]


def test_with_too_few_predictions_drift_is_null_with_a_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today(
        monkeypatch,
        appearances(np.random.default_rng(3), monitoring.MIN_DRIFT_SAMPLE - 1, shift=90),
    )
    monkeypatch.setattr(monitoring, "count", lambda *_: pytest.fail("nothing to count"))
    result = monitoring.emit_drift()
    assert result["largest"] is result["level"] is result["features"]["brightness"]["psi"] is None
    assert result["features"]["brightness"]["reason"] == (
        "Needs 200 predictions in 24 h (199 so far)."
    )


def test_the_score_is_computed_only_for_the_live_version(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today(monkeypatch, appearances(np.random.default_rng(3), 300), version="an older one")
    features = monitoring.drift()["features"]
    assert features["score"]["sample"] == 0
    assert features["brightness"]["sample"] == 300


def test_without_a_reference_drift_is_null_with_a_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "reference.json").unlink()
    monkeypatch.setattr(history, "recent", lambda *_: pytest.fail("nothing to compare with"))
    result = monitoring.drift()
    assert result["largest"] is None
    assert "no reference.json" in result["features"]["score"]["reason"]


def test_drift_is_computed_once_in_five_minutes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[None] = []
    monkeypatch.setattr(history, "recent", lambda *_: reads.append(None) or [])
    monitoring.drift()
    monitoring.drift()
    assert len(reads) == 1
