"""registry: versions are whole and never change; one promotion at a time wins; all are recorded."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from moto import mock_aws

from clickbait.errors import Conflict, InvalidModel, NotFound
from clickbait.settings import CHECKOUT_BASELINE
from clickbait.store import registry as registry_module
from clickbait.store.registry import Registry, baseline_version, is_promotion

BUCKET = "models"
BASELINE = baseline_version(CHECKOUT_BASELINE)
NEW, OTHER = "20990101-000000-aaaaaa", "20990102-000000-bbbbbb"


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def registry(s3: Any) -> Registry:
    return Registry(BUCKET)


def folder_of(path: Path, version: str, **changes: Any) -> Path:
    """A version folder: the baseline's model under another name."""
    folder = path / version
    (folder / "plots").mkdir(parents=True)
    metadata = json.loads((CHECKOUT_BASELINE / "metadata.json").read_bytes())
    metadata |= {"model_version": version} | changes
    (folder / "metadata.json").write_text(json.dumps(metadata))
    (folder / "model.tflite").write_bytes((CHECKOUT_BASELINE / "model.tflite").read_bytes())
    (folder / "plots" / "roc.png").write_bytes(b"a plot")
    return folder


def promote(registry: Registry, version: str, **more: Any) -> dict[str, Any]:
    return registry.promote(version, by="a test", reason="because", **more)


def test_a_version_is_published_whole_and_read_as_it_was(registry, tmp_path):
    folder = folder_of(tmp_path, NEW)
    assert registry.publish(folder) == NEW
    back = registry.fetch(NEW, tmp_path / "back")
    for name in ("metadata.json", "model.tflite", "plots/roc.png"):
        assert (back / name).read_bytes() == (folder / name).read_bytes()


def test_versions_are_listed_newest_first_and_half_written_ones_are_not(registry, s3, tmp_path):
    registry.publish(folder_of(tmp_path, NEW))
    registry.publish(folder_of(tmp_path, OTHER))
    half = "20990103-000000-cccccc"
    s3.put_object(Bucket=BUCKET, Key=f"versions/{half}/model.tflite", Body=b"half")
    s3.put_object(Bucket=BUCKET, Key=f"versions/{half}/plots/metadata.json", Body=b"{}")
    assert registry.versions() == [OTHER, NEW]
    with pytest.raises(NotFound, match=half):
        registry.fetch(half, tmp_path / "half")
    with pytest.raises(NotFound, match=half):
        promote(registry, half)


def test_publishing_puts_the_metadata_last(registry, tmp_path, monkeypatch):
    put: list[str] = []
    original = registry.s3.put_object

    def noted(**request: Any) -> Any:
        put.append(request["Key"])
        return original(**request)

    monkeypatch.setattr(registry.s3, "put_object", noted)
    registry.publish(folder_of(tmp_path, NEW))
    assert put[-1] == f"versions/{NEW}/metadata.json" and len(put) == 3


def test_publishing_a_version_again_changes_nothing_and_another_of_its_name_is_refused(
    registry, tmp_path
):
    registry.publish(folder_of(tmp_path / "a", NEW))
    registry.publish(folder_of(tmp_path / "b", NEW))
    with pytest.raises(Conflict, match="versions never change"):
        registry.publish(folder_of(tmp_path / "c", NEW, accuracy=1.0))


def test_a_promotion_moves_the_pointer_and_is_recorded(registry, tmp_path):
    registry.publish(folder_of(tmp_path, NEW))
    promotion = promote(registry, NEW, baseline=CHECKOUT_BASELINE)
    assert registry.pointer().version == NEW
    assert promotion["previous"] == BASELINE
    assert list(registry.promotions()) == [promotion]


def test_the_service_can_roll_back_to_the_baseline(registry, tmp_path):
    registry.publish(folder_of(tmp_path, NEW))
    promote(registry, NEW, baseline=CHECKOUT_BASELINE)
    back = promote(registry, BASELINE, baseline=CHECKOUT_BASELINE)
    assert (back["version"], back["previous"]) == (BASELINE, NEW)
    assert BASELINE in registry.versions()
    assert registry.load(BASELINE).version == BASELINE


def test_a_version_that_fails_its_golden_images_never_goes_live(registry, tmp_path):
    golden = json.loads((CHECKOUT_BASELINE / "metadata.json").read_bytes())["golden"]
    wrong = [golden[0] | {"probability": 1 - golden[0]["probability"]}]
    registry.publish(folder_of(tmp_path, NEW, golden=wrong))
    with pytest.raises(InvalidModel, match="golden image"):
        promote(registry, NEW)
    assert registry.pointer() is None and not list(registry.promotions())


@pytest.fixture
def atomic_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make moto's calls atomic, as S3's are: it checks If-Match and writes in two steps."""
    lock, call = threading.RLock(), BaseClient._make_api_call

    def locked(*arguments: Any) -> Any:
        with lock:
            return call(*arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", locked)


@pytest.mark.usefixtures("atomic_calls")
@pytest.mark.parametrize("already", [False, True])
def test_one_of_two_simultaneous_promotions_wins(registry, tmp_path, already):
    for version in (NEW, OTHER):
        registry.publish(folder_of(tmp_path, version))
    if already:
        promote(registry, BASELINE, baseline=CHECKOUT_BASELINE)
    start = threading.Barrier(2)
    results: list[str] = []

    def race(version: str) -> None:
        seen = registry.pointer()
        start.wait()
        try:
            promote(registry, version, expected=seen)
            results.append(version)
        except Conflict:
            results.append("conflict")

    threads = [threading.Thread(target=race, args=(v,)) for v in (NEW, OTHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results)[1] == "conflict"
    (winner,) = set(results) - {"conflict"}
    assert registry.pointer().version == winner
    assert len(list(registry.promotions())) == 1 + already


def test_a_promotion_based_on_an_old_pointer_is_a_conflict(registry, tmp_path):
    for version in (NEW, OTHER):
        registry.publish(folder_of(tmp_path, version))
    before = registry.pointer()
    promote(registry, NEW)
    with pytest.raises(Conflict):
        promote(registry, OTHER, expected=before)
    assert registry.pointer().version == NEW


def test_the_promotions_show_which_version_was_live_when_and_who_decided(registry, tmp_path):
    for version in (NEW, OTHER):
        registry.publish(folder_of(tmp_path, version))
    first, second = promote(registry, NEW), promote(registry, OTHER)
    assert list(registry.promotions()) == [second, first]
    assert next(registry.promotions(datetime.fromisoformat(first["at"])))["version"] == NEW
    assert second["by"] == "a test" and second["previous"] == NEW


def test_a_promotion_whose_writer_ended_before_recording_it_is_listed_anyway(
    registry, tmp_path, monkeypatch
):
    for version in (NEW, OTHER):
        registry.publish(folder_of(tmp_path, version))
    with monkeypatch.context() as patched:
        patched.setattr(registry, "_record", lambda promotion: None)
        lost = promote(registry, NEW)
    assert list(registry.promotions()) == [lost]
    second = promote(registry, OTHER)
    assert list(registry.promotions()) == [second, lost]


def test_promotions_are_read_as_they_are_needed(registry, s3):
    """Thousands of them must not be read for a page of twenty."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(60):
        moment = at + timedelta(minutes=n)
        name = f"promotions/{moment:%Y%m%dT%H%M%S.%fZ}-v{n}.json"
        record = {"version": f"v{n}", "previous": f"v{n - 1}", "at": moment.isoformat(), "by": "x"}
        s3.put_object(Bucket=BUCKET, Key=name, Body=json.dumps(record).encode())
    read: list[str] = []
    get = registry._get
    registry._get = lambda key, *more: (read.append(key), get(key, *more))[1]
    newest = list(islice(registry.promotions(), 5))
    assert [p["version"] for p in newest] == ["v59", "v58", "v57", "v56", "v55"]
    assert len(read) <= 1 + 8  # the pointer, and one round of reads
    older = registry.promotions(before=newest[-1]["at"])
    assert next(older)["version"] == "v54"
    assert [p["version"] for p in registry.promotions(at + timedelta(minutes=1))] == ["v1", "v0"]
    assert [p["at"] for p in registry.promotions(version="v7")] == ["2026-01-01T00:07:00+00:00"]
    assert registry.was_live("v7") and not registry.was_live("v60")


@pytest.mark.parametrize(
    "metadata",
    [b"", b"[]", b"null", b'"text"', b"7", b"[" * 100_000, b"\xff"],
)
def test_a_version_with_damaged_metadata_is_invalid_and_never_goes_live(
    registry, s3, tmp_path, metadata
):
    registry.publish(folder_of(tmp_path, NEW))
    s3.put_object(Bucket=BUCKET, Key=f"versions/{NEW}/metadata.json", Body=metadata)
    for read in (registry.load, registry.metadata, lambda version: promote(registry, version)):
        with pytest.raises(InvalidModel):
            read(NEW)
    assert registry.pointer() is None


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"text"', b"{}", b'{"version": "x"}', b"[" * 100_000]
)
def test_a_damaged_record_hides_no_other(registry, s3, tmp_path, body):
    registry.publish(folder_of(tmp_path, NEW))
    promotion = promote(registry, NEW)
    s3.put_object(Bucket=BUCKET, Key="promotions/20990101T000000.000000Z-x.json", Body=body)
    assert list(registry.promotions()) == [promotion]
    assert registry.was_live(NEW)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'{"version": ""}', b'{"version": 7', b'"' + NEW.encode()]
)
def test_what_a_damaged_pointer_replaced_is_told_by_its_record(registry, s3, tmp_path, body):
    for version in (NEW, OTHER):
        registry.publish(folder_of(tmp_path, version))
    promote(registry, NEW)
    s3.put_object(Bucket=BUCKET, Key="champion.json", Body=body)
    assert promote(registry, OTHER)["previous"] == NEW
    assert [p["version"] for p in registry.promotions()] == [OTHER, NEW]


def test_a_pointer_made_by_hand_works_and_can_be_replaced(registry, s3, tmp_path):
    for version in (NEW, OTHER):
        registry.publish(folder_of(tmp_path, version))
    s3.put_object(Bucket=BUCKET, Key="champion.json", Body=json.dumps({"version": NEW}).encode())
    assert registry.poll() and not registry.poll()
    assert (registry.pointer().version, registry.pointer().problem) == (NEW, "")
    assert list(registry.promotions()) == []
    assert promote(registry, OTHER)["previous"] == NEW


def test_a_pointer_that_cannot_be_read_can_be_replaced(registry, s3, tmp_path):
    registry.publish(folder_of(tmp_path, NEW))
    s3.put_object(Bucket=BUCKET, Key="champion.json", Body=b"garbage")
    assert promote(registry, NEW)["version"] == NEW
    assert registry.pointer().version == NEW


@pytest.mark.parametrize("back", [timedelta(), timedelta(seconds=3), timedelta(hours=1)])
def test_a_clock_that_goes_back_does_not_change_the_order_of_promotions(
    registry, tmp_path, monkeypatch, back
):
    for version in (NEW, OTHER):
        registry.publish(folder_of(tmp_path, version))
    now = datetime(2026, 10, 25, 1, 59, 59, tzinfo=UTC)  # Summer time ends in Europe.

    class Clock(datetime):
        @classmethod
        def now(cls, tz):
            return now

    monkeypatch.setattr(registry_module, "datetime", Clock)
    first = promote(registry, NEW, baseline=CHECKOUT_BASELINE)
    now -= back
    second = promote(registry, OTHER)
    set_back = threshold(registry, 0.35)
    assert list(registry.promotions()) == [set_back, second, first]
    assert first["at"] < second["at"] < set_back["at"]


def threshold(registry, value, reason="because"):
    return registry.set_threshold(value, by="a test", reason=reason, baseline=CHECKOUT_BASELINE)


def test_a_threshold_stays_through_promotions_and_roll_backs_until_it_is_taken_back(
    registry, tmp_path
):
    registry.publish(folder_of(tmp_path, NEW))
    first = threshold(registry, 0.35)  # Nothing was promoted yet: the baseline is live.
    assert (first["version"], first["change"]) == (BASELINE, "threshold")
    assert registry.pointer().threshold == 0.35 and BASELINE in registry.versions()
    promotion = promote(registry, NEW)
    assert (promotion["previous"], promotion["threshold"]) == (BASELINE, 0.35)
    back = promote(registry, BASELINE)
    assert registry.pointer().threshold == back["threshold"] == 0.35
    own = threshold(registry, None)
    assert registry.pointer().threshold is None and "threshold" not in own
    assert "threshold" not in promote(registry, NEW)
    assert [is_promotion(p) for p in registry.promotions()] == [True, False, True, True, False]
    assert list(registry.promotions())[1] == own


def test_a_threshold_never_overwrites_a_promotion_of_the_same_moment(registry, tmp_path):
    registry.publish(folder_of(tmp_path / "a", NEW))
    registry.publish(folder_of(tmp_path / "b", OTHER))
    promote(registry, NEW)
    before = registry.pointer()
    promote(registry, OTHER)
    registry.pointer = lambda: before
    with pytest.raises(Conflict, match="same moment"):
        threshold(registry, 0.35)
    del registry.pointer
    assert (registry.pointer().version, registry.pointer().threshold) == (OTHER, None)
    # The other way round: a promotion that was decided before the threshold changed.
    before = registry.pointer()
    threshold(registry, 0.35)
    with pytest.raises(Conflict):
        promote(registry, NEW, expected=before)
    assert registry.pointer().threshold == 0.35
