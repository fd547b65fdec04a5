"""live: the champion of a bucket goes live by itself, and no failure takes the service down."""

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from clickbait.errors import InvalidModel, Unavailable
from clickbait.inference.prediction import answer
from clickbait.settings import CHECKOUT_BASELINE
from clickbait.store import live as live_module
from clickbait.store.live import LiveModel
from clickbait.store.registry import Registry
from tests.samples import shipped, small
from tests.samples.drawn import encoded, picture

BUCKET = "models"
MODEL = (CHECKOUT_BASELINE / "model.tflite").read_bytes()
METADATA = json.loads((CHECKOUT_BASELINE / "metadata.json").read_bytes())
BASELINE = METADATA["model_version"]
NEW, OTHER = "20990101-000000-aaaaaa", "20990102-000000-bbbbbb"
later = itertools.count()


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def clock(monkeypatch) -> Any:
    class Clock:
        now = 1_000.0

        def monotonic(self) -> float:
            return self.now

        time = staticmethod(lambda: 1.0)

    created = Clock()
    monkeypatch.setattr(live_module, "time", created)
    return created


def put_version(s3: Any, version: str, model: bytes = MODEL, **changes: Any) -> None:
    metadata = METADATA | {"model_version": version} | changes
    s3.put_object(Bucket=BUCKET, Key=f"versions/{version}/model.tflite", Body=model)
    s3.put_object(Bucket=BUCKET, Key=f"versions/{version}/metadata.json", Body=json.dumps(metadata))


def promote(s3: Any, version: str, threshold: float | None = None) -> None:
    """Write the pointer and its record, as `Registry.promote` does after its checks."""
    at = datetime(2099, 1, 1, tzinfo=UTC) + timedelta(seconds=next(later))
    record = {"version": version, "at": at.isoformat(), "threshold": threshold}
    for key in ("champion.json", f"promotions/{at:%Y%m%dT%H%M%S.%fZ}-{version}.json"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(record))


def live() -> LiveModel:
    return LiveModel(CHECKOUT_BASELINE, Registry(BUCKET))


def test_without_a_champion_the_baseline_serves(s3: Any) -> None:
    assert live().current().version == BASELINE


def test_the_champion_serves_from_the_first_request(s3: Any) -> None:
    put_version(s3, NEW)
    promote(s3, NEW)
    assert live().current().version == NEW


def test_a_promotion_is_seen_after_30_seconds_and_not_checked_before(s3: Any, clock: Any) -> None:
    model = live()
    assert model.current().version == BASELINE
    put_version(s3, NEW)
    promote(s3, NEW)
    clock.now += 29.9
    assert model.current().version == BASELINE
    clock.now += 0.2
    assert model.current().version == NEW


def test_versions_of_two_sizes_replace_each_other_without_a_restart(s3: Any, clock: Any) -> None:
    put_version(s3, NEW)
    put_version(s3, OTHER, small.MODEL, **small.metadata(OTHER))
    model, data = live(), encoded(picture())
    sides = {NEW: shipped.SIDE, OTHER: small.SIDE}
    assert sides[NEW] != sides[OTHER]
    for version, side in [*sides.items()] * 2:
        promote(s3, version)
        clock.now += 31
        found = answer(model.current(), data, explain=True).prediction
        assert (found["model_version"], len(found["heatmap"])) == (version, side)


def test_an_unchanged_pointer_is_not_loaded_again(s3: Any, clock: Any) -> None:
    put_version(s3, NEW)
    promote(s3, NEW)
    model = live()
    first = model.current()
    clock.now += 31
    assert model.current() is first


@pytest.mark.parametrize(
    "broken",
    [
        {"model": b"half a model"},
        {"labels": ["clickbait_fake", "clickbait_real"]},
        {
            "golden": [
                METADATA["golden"][0]
                | {"probability": 0.5 if METADATA["golden"][0]["probability"] > 0.6 else 0.99}
            ]
        },
    ],
)
def test_a_broken_champion_leaves_the_old_model_serving_and_counts_a_failure(
    s3: Any, clock: Any, monkeypatch, broken: dict
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(live_module, "count", counted.append)
    put_version(s3, NEW)
    promote(s3, NEW)
    model = live()
    assert model.current().version == NEW
    put_version(s3, OTHER, **broken)
    promote(s3, OTHER)
    clock.now += 31
    assert model.current().version == NEW
    assert counted == ["ModelLoadFailure"]
    put_version(
        s3, OTHER
    )  # repaired: the pointer's ETag is the same, and it is tried again all the same
    clock.now += 31
    assert model.current().version == OTHER


def test_a_version_whose_metadata_names_another_is_refused(s3: Any) -> None:
    put_version(s3, NEW, model_version=OTHER)
    with pytest.raises(InvalidModel, match="says that it is"):
        Registry(BUCKET).load(NEW)


def test_a_missing_version_is_reported_by_name(s3: Any) -> None:
    with pytest.raises(InvalidModel, match=f"Version {NEW} has no metadata.json"):
        Registry(BUCKET).load(NEW)


def test_no_bucket_and_no_folder_is_unavailable_with_the_reason(s3: Any, tmp_path) -> None:
    model = LiveModel(tmp_path, Registry("no-such-bucket"))
    with pytest.raises(Unavailable, match="No model could be loaded"):
        model.current()


def test_after_a_restore_the_pointer_is_read_at_once(s3: Any, clock: Any) -> None:
    model = live()
    model.current()
    put_version(s3, NEW)
    promote(s3, NEW)
    model.after_restore()
    assert model.current().version == NEW


def test_version_and_threshold_are_swapped_together(s3: Any, clock: Any) -> None:
    def point(version: str, threshold: float | None) -> None:
        promote(s3, version, threshold)
        clock.now += 31

    put_version(s3, NEW)
    put_version(s3, OTHER, model=b"half a model")
    model, own = live(), METADATA["threshold"]
    point(NEW, 0.3)
    first = model.current()
    assert (first.version, first.threshold) == (NEW, 0.3)
    point(NEW, 0.7)
    assert model.current().threshold == 0.7
    assert first.threshold == 0.3  # A request that has begun goes on with the old one.
    point(OTHER, 0.2)  # It does not load, so its threshold does not count either.
    assert (model.current().version, model.current().threshold) == (NEW, 0.7)
    point(NEW, None)
    assert model.current().threshold == own


def test_a_new_threshold_loads_no_model_again(s3: Any, clock: Any, monkeypatch) -> None:
    put_version(s3, NEW)
    promote(s3, NEW)
    model = live()
    since = (model.current(), model.since)[1]
    monkeypatch.setattr(Registry, "load", lambda *_: pytest.fail("loaded again"))
    promote(s3, NEW, 0.4)
    clock.now += 31
    assert (model.current().threshold, model.since) == (0.4, since)
