"""Dollars add up from units and prices, and load figures from samples."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest import cost, profiles
from loadtest.cost import Idle, Measured
from loadtest.profiles import Profile, Sample

ROOT = Path(__file__).resolve().parents[3]
WARM = Measured(milliseconds=100, memory_mb=1024, cold_share=0)


def test_a_million_by_hand() -> None:
    items = cost.million(WARM)
    assert items["function: time"] == pytest.approx(1e6 * 0.1 * 0.0000166667)  # 1 GB, 0.1 s
    assert items["function: invocations"] == pytest.approx(0.20)
    assert items["gateway"] == pytest.approx(1.00)
    assert items["history: writes"] == pytest.approx(0.625)
    assert items["logs: taken in"] == pytest.approx(1.154 * 0.50)
    assert items["answers to the internet"] == pytest.approx(0.09)


def test_cold_starts_are_billed_by_their_share() -> None:
    some = replace(WARM, cold_share=0.1, cold_milliseconds=1_000)
    assert cost.million(some)["function: time"] == pytest.approx(
        2 * cost.million(WARM)["function: time"]
    )


def test_sizes_are_billed_in_whole_units() -> None:
    unit = cost.GATEWAY_UNIT
    assert cost.million(replace(WARM, image_bytes=unit))["gateway"] == pytest.approx(1)
    assert cost.million(replace(WARM, image_bytes=unit + 1))["gateway"] == pytest.approx(2)
    assert cost.million(replace(WARM, image_bytes=0))["gateway"] == pytest.approx(1)
    assert cost.million(replace(WARM, row_bytes=1_025))["history: writes"] == pytest.approx(1.25)


def test_a_month_is_its_predictions_the_idle_stack_and_the_page_that_is_watched() -> None:
    watching, idle = cost.Watching(), Idle()
    nothing = sum(cost.month(0, WARM, idle, watching).values())
    assert nothing == pytest.approx(
        sum(cost.idle_month(idle).values()) + sum(cost.watching(watching).values())
    )
    million = sum(cost.month(1e6, WARM, idle, watching).values())
    assert million - nothing == pytest.approx(sum(cost.million(WARM).values()))
    assert sum(cost.watching(replace(watching, hours=0)).values()) == 0


def test_traces_cost_more_than_all_else_at_a_million_a_month() -> None:
    """Why they are off by default."""
    assert cost.traces_month(1_000) == pytest.approx(0.005)  # fewer than one a second: all
    assert cost.traces_month(1e6) > sum(cost.million(Measured()).values())
    first = 730 * 3_600
    assert cost.traces_month(1e8) == pytest.approx((first + 0.05 * (1e8 - first)) * 5e-6)


def test_a_flood_costs_what_the_throttle_lets_through() -> None:
    template = (ROOT / "template.yaml").read_text("utf-8")
    assert f"RequestsPerSecond:\n    Type: Number\n    Default: {cost.THROTTLE:.0f}\n" in template
    requests = cost.THROTTLE * 730 * 3_600
    expected = requests / 1e6 * sum(cost.million(WARM).values())
    expected += sum(cost.idle_month(Idle()).values())
    assert cost.flood_month(WARM, Idle()) == pytest.approx(expected)


def test_the_bill_stays_within_its_bounds() -> None:
    idle = cost.idle_month(Idle())
    assert sum(cost.idle_month(Idle(alarmed_metrics=5)).values()) <= 2
    # With all alarms it is more, and they are why.
    assert sum(idle.values()) - idle["alarms"] <= 2 < sum(idle.values()) <= 3
    assert sum(cost.million(Measured()).values()) <= 5


def test_idle_is_cents_and_a_container_is_not() -> None:
    idle = sum(cost.idle_month(Idle()).values())
    assert 0 < idle < 5
    by_hand = 730 * (0.03238 + 2 * 0.00356 + 0.0225 + 3 * 0.005)
    assert cost.container_month() == pytest.approx(by_hand)
    assert idle < cost.container_month()


def test_at_the_break_even_both_cost_the_same() -> None:
    even = cost.break_even(WARM, Idle())
    ours = sum(cost.idle_month(Idle()).values())
    ours += even / cost.MILLION * sum(cost.million(WARM).values())
    assert ours == pytest.approx(cost.container_month())


def test_others_by_hand() -> None:
    others = cost.elsewhere()
    assert others["Google Vision, one feature"][0] == pytest.approx(1_500)
    busy, _ = others["Rekognition Custom Labels, always at full load"]
    assert busy == pytest.approx(1e6 / 5 / 3_600 * 4)
    assert others["Rekognition Custom Labels, one unit kept on"][1] == pytest.approx(2_920)


def test_every_price_has_a_source_and_a_date_and_is_used() -> None:
    text = Path(cost.__file__).read_text() + (ROOT / "loadtest/README.md").read_text()
    for name, price in cost.PRICES.items():
        assert price.dollars > 0
        assert price.source
        assert price.unit
        assert len(price.seen) == len("2026-11")
        used = f'_of("{name}"' in text or name in ("s3 batch job", "s3 batch object", "transition")
        assert used, name


def test_a_negative_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="milliseconds is -1"):
        Measured(milliseconds=-1)


def test_the_command_prints_every_table() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "loadtest/cost.py"), "--milliseconds", "31"],
        capture_output=True,
        text=True,
        check=True,
    )
    for title in ("a million predictions", "in bulk", "an idle month", "a flood", "alternatives"):
        assert title in done.stdout


# --- loadtest/profiles.py


def test_the_ramp_is_linear_and_ends() -> None:
    profile = Profile(users=100, seconds=180, ramp=120)
    assert [profile.users_at(t) for t in (0, 60, 120, 179, 180)] == [1, 50, 100, 100, 0]


@pytest.mark.parametrize(
    ("users", "seconds", "ramp"), [(0, 180, 120), (1_001, 180, 120), (1, 1_801, 0), (1, 120, 120)]
)
def test_a_run_is_bounded(users: int, seconds: float, ramp: float) -> None:
    with pytest.raises(ValueError, match=r"USERS|MINUTES|RAMP"):
        Profile(users, seconds, ramp)


def test_a_summary_keeps_answered_refused_and_failed_apart() -> None:
    answered = [Sample(0, "predict", float(ms)) for ms in range(1, 101)]
    others = [Sample(0, "predict", 5, refused=True), Sample(0, "predict", 9_999, failed=True)]
    summary = profiles.summary(answered + others, seconds=10)
    assert (summary.requests, summary.refused, summary.failed) == (102, 1, 1)
    assert summary.per_second == 10
    assert (summary.p50, summary.p95, summary.p99) == (50, 95, 99)
    assert summary.refused_p95 == 5
    assert math.isnan(profiles.summary([], 1).p50)


def test_recovered_is_where_five_in_a_row_are_normal() -> None:
    slow = [Sample(100 + i, "probe", 500) for i in range(3)]
    early = [Sample(103, "probe", 20), Sample(104, "probe", 1, refused=True)]
    normal = [Sample(105 + i, "probe", 20) for i in range(5)]
    assert profiles.recovery(100, slow + early + normal, before=10) == 5
    assert profiles.recovery(100, slow + early + normal[:4], before=10) is None
