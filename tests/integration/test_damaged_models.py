"""Damage in the models bucket: all processes serve the same version, say why, and can be mended."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from fastapi.testclient import TestClient
from moto import mock_aws

from clickbait.errors import InvalidModel, NotFound
from clickbait.settings import CHECKOUT_BASELINE
from clickbait.store import live as live_module
from clickbait.store.live import CHECK_SECONDS, LiveModel
from clickbait.store.registry import Registry, baseline_version
from functions.learn.live import read_live
from functions.predict import app as predict
from tests.samples import small

BUCKET = "models"
BASELINE = baseline_version(CHECKOUT_BASELINE)
NEW, OTHER, BAD = (f"20990101-000000-{letter * 6}" for letter in "abc")
THRESHOLD = 0.35
NAN = float("nan")

POINTERS = {
    "nowhere": json.dumps({"version": "20980101-000000-ffffff"}).encode(),
    "nowhere, with all fields": json.dumps(
        {"version": "20980101-000000-ffffff", "at": "2099-06-01T00:00:00+00:00", "by": "me"}
    ).encode(),
    "by hand": b'{"version": "x"}',
    "half JSON": json.dumps({"version": NEW}).encode()[:-7],
    "empty": b"",
    "empty object": b"{}",
    "list": json.dumps([NEW]).encode(),
    "null": b"null",
    "text": json.dumps(NEW).encode(),
    "no name": b'{"version": ""}',
    "number": b'{"version": 7}',
    "path": json.dumps({"version": f"../versions/{NEW}"}).encode(),
    "long": json.dumps({"version": "v" * 2_000}).encode(),
    "deep": b"[" * 100_000,
    "threshold of NaN": json.dumps({"version": NEW, "threshold": NAN}).encode(),
    "threshold of 7": json.dumps({"version": NEW, "threshold": 7}).encode(),
    "threshold as text": json.dumps({"version": NEW, "threshold": "0.5"}).encode(),
    "page of a proxy": b"<html>502 Bad Gateway</html>",
    "deleted": None,
}

METADATA = small.metadata(BAD)


def changed(**fields: Any) -> dict[str, bytes]:
    return {"metadata.json": json.dumps(METADATA | fields).encode()}


def other_model(body: bytes) -> dict[str, bytes]:
    return changed(sha256=hashlib.sha256(body).hexdigest()) | {"model.tflite": body}


def golden(**fields: Any) -> dict[str, bytes]:
    return changed(golden=[METADATA["golden"][0] | fields])


VERSIONS = {
    "truncated model": {"model.tflite": small.MODEL[: len(small.MODEL) // 2]},
    "truncated model with its sha256": other_model(small.MODEL[: len(small.MODEL) // 2]),
    "other sha256": changed(sha256="0" * 64),
    "random bytes with their sha256": other_model(bytes(range(256)) * 40),
    "empty model with its sha256": other_model(b""),
    "no model": {"model.tflite": b""},
    "calibration null": changed(calibration=None),
    "temperature NaN": changed(calibration={"temperature": NAN, "bias": 0}),
    "temperature 1e400": changed(calibration={"temperature": "1e400", "bias": 0}),
    "bias NaN": changed(calibration={"temperature": 1, "bias": NAN}),
    "threshold NaN": changed(threshold=NAN),
    "threshold 7": changed(threshold=7),
    "band NaN": changed(uncertain_band={"low": NAN, "high": 0.8}),
    "band reversed": changed(uncertain_band={"low": 0.8, "high": 0.2}),
    "golden missing": changed(golden=[]),
    "golden of another model": golden(probability=0.5),
    "golden NaN": golden(probability=NAN),
    "golden damaged": golden(png=METADATA["golden"][0]["png"][:200]),
    "golden a number": changed(golden=7),
    "labels swapped": changed(labels=METADATA["labels"][::-1]),
    "metadata a list": {"metadata.json": b"[]"},
    "metadata null": {"metadata.json": b"null"},
    "metadata a text": {"metadata.json": b'"text"'},
    "metadata deep": {"metadata.json": b"[" * 100_000},
    "metadata in UTF-16": {"metadata.json": json.dumps(METADATA).encode("utf-16")},
    "metadata empty": {"metadata.json": b""},
    "metadata of another version": changed(model_version=NEW),
}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A models bucket in which NEW is live at THRESHOLD, and OTHER was published."""
    counted: list[str] = []
    monkeypatch.setattr(live_module, "count", counted.append)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        for version in (NEW, OTHER):
            put(client, version, {"metadata.json": json.dumps(small.metadata(version)).encode()})
        registry().promote(NEW, by="a test", reason="because")
        registry().set_threshold(THRESHOLD, by="a test", reason="because", baseline=Path())
        client.counted = counted
        yield client


def registry() -> Registry:
    return Registry(BUCKET)


def put(s3: Any, version: str, files: dict[str, bytes]) -> None:
    for name, body in ({"model.tflite": small.MODEL} | files).items():
        s3.put_object(Bucket=BUCKET, Key=f"versions/{version}/{name}", Body=body)


def point(s3: Any, body: bytes | None) -> None:
    if body is None:
        s3.delete_object(Bucket=BUCKET, Key="champion.json")
    else:
        s3.put_object(Bucket=BUCKET, Key="champion.json", Body=body)


class Process:
    """A process that serves, with a clock of its own."""

    def __init__(self) -> None:
        self.live = LiveModel(CHECKOUT_BASELINE, registry())

    def serves(self) -> tuple[str, float]:
        """The version and the threshold after the next refresh."""
        self.live._refreshed = float("-inf")
        model = self.live.current()
        return model.version, model.threshold

    def wait(self, seconds: float) -> None:
        self.live._checked -= seconds


def mended(s3: Any, *processes: Process) -> None:
    """Whatever is stored, a promotion of OTHER brings every process to it."""
    record = registry().promote(OTHER, by="a test", reason="repair", baseline=CHECKOUT_BASELINE)
    assert (record["previous"], record["threshold"]) == (NEW, THRESHOLD)
    newest = next(registry().promotions())
    assert (newest["version"], newest["reason"]) == (OTHER, "repair")
    for process in (*processes, Process()):
        assert process.serves() == (OTHER, THRESHOLD)
        assert process.live.problem == ""


@pytest.mark.parametrize("damage", POINTERS)
def test_a_damaged_pointer_leaves_all_processes_at_the_version_that_was_promoted_last(
    s3: Any, damage: str
) -> None:
    warm = Process()
    assert warm.serves() == (NEW, THRESHOLD)
    assert (warm.live.problem, s3.counted) == ("", [])
    point(s3, POINTERS[damage])
    for process in (warm, Process()):
        assert process.serves() == (NEW, THRESHOLD)
        assert "champion.json" in process.live.problem
    assert s3.counted == ["ModelLoadFailure"] * 2
    pointer = registry().pointer()
    assert pointer and (pointer.version, pointer.threshold) == (NEW, THRESHOLD)
    assert "champion.json" in pointer.problem
    assert [record["version"] for record in registry().promotions()] == [NEW, NEW]
    registry().set_threshold(0.6, by="a test", reason="because", baseline=Path())
    assert warm.serves() == Process().serves() == (NEW, 0.6)
    registry().set_threshold(THRESHOLD, by="a test", reason="because", baseline=Path())
    point(s3, POINTERS[damage])
    mended(s3, warm)


@pytest.mark.parametrize("damage", VERSIONS)
def test_a_pointer_to_a_bad_version_leaves_all_processes_at_the_last_good_one(
    s3: Any, damage: str
) -> None:
    warm = Process()
    warm.serves()
    put(s3, BAD, METADATA_OF | VERSIONS[damage])
    if damage == "no model":
        s3.delete_object(Bucket=BUCKET, Key=f"versions/{BAD}/model.tflite")
    point(s3, json.dumps({"version": BAD, "threshold": 0.8}).encode())
    for process in (warm, Process()):
        assert process.serves() == (NEW, THRESHOLD)
        assert BAD in process.live.problem
    with pytest.raises((InvalidModel, NotFound)):
        registry().promote(BAD, by="a test", reason="because")
    loaded, _ = registry().resolve(registry().load)
    assert loaded and loaded.version == NEW
    # Somebody repairs the version: the pointer has not changed, and it is tried again.
    put(s3, BAD, METADATA_OF)
    assert warm.serves() == Process().serves() == (BAD, 0.8)
    assert warm.live.problem == ""


METADATA_OF = {"metadata.json": json.dumps(METADATA).encode()}


def test_a_live_version_that_is_damaged_later_is_noticed_by_processes_that_run(s3: Any) -> None:
    registry().promote(OTHER, by="a test", reason="because")
    warm = Process()
    assert warm.serves() == (OTHER, THRESHOLD)
    s3.delete_object(Bucket=BUCKET, Key=f"versions/{OTHER}/model.tflite")
    assert Process().serves() == (NEW, THRESHOLD)
    warm.wait(CHECK_SECONDS)
    assert warm.serves() == (NEW, THRESHOLD)
    assert f"{OTHER} has no model.tflite" in warm.live.problem
    put(s3, OTHER, {})
    assert warm.serves() == Process().serves() == (OTHER, THRESHOLD)
    assert warm.live.problem == ""


def test_without_any_version_that_loads_all_processes_serve_the_built_in_model(s3: Any) -> None:
    warm = Process()
    warm.serves()
    for key in ("metadata.json", "model.tflite"):
        s3.delete_object(Bucket=BUCKET, Key=f"versions/{NEW}/{key}")
    warm.wait(CHECK_SECONDS)
    for process in (warm, Process()):
        assert process.serves()[0] == BASELINE
        assert f"{NEW} has no metadata.json" in process.live.problem
    pointer = registry().pointer()
    assert pointer and (pointer.version, bool(pointer.problem)) == ("", True)
    record = registry().promote(OTHER, by="a test", reason="repair", baseline=CHECKOUT_BASELINE)
    assert record["previous"] == BASELINE
    assert warm.serves()[0] == Process().serves()[0] == OTHER


def test_a_store_that_does_not_answer_changes_nothing_in_a_process_that_runs(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm = Process()
    warm.serves()
    with monkeypatch.context() as patch:
        patch.setattr(warm.live, "registry", Registry("no-such-bucket"))
        assert warm.serves() == (NEW, THRESHOLD)
        assert "failed" in warm.live.problem
    assert warm.serves() == (NEW, THRESHOLD)
    assert warm.live.problem == ""


def test_a_healthy_bucket_costs_as_few_requests_as_can_be(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    call = BaseClient._make_api_call

    def counted(self: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        asked.append(f"{operation} {parameters.get('Key', parameters.get('Prefix'))}")
        return call(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", counted)
    process = Process()
    process.serves()
    files = [f"GetObject versions/{NEW}/{name}" for name in ("metadata.json", "model.tflite")]
    assert asked == ["GetObject champion.json", *files]
    asked.clear()
    process.serves()
    assert asked == ["GetObject champion.json"]
    asked.clear()
    process.wait(CHECK_SECONDS)
    process.serves()
    assert asked == ["GetObject champion.json", f"ListObjectsV2 versions/{NEW}/"]
    asked.clear()
    process.live.after_restore()
    process.live.current()
    assert asked == ["GetObject champion.json"]


@pytest.mark.parametrize("damage", ["nowhere", "half JSON", "deleted"])
def test_status_and_system_check_say_that_the_service_is_degraded_and_why(
    s3: Any, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(predict.service, "live", Process().live)
    client = TestClient(predict.app)
    assert client.get("/system-check").json()["status"] == "ok"
    ready = client.get("/status").json()
    assert (ready["status"], ready["problem"]) == ("ready", None)
    point(s3, POINTERS[damage])
    check = client.get("/system-check").json()
    failed = {each["name"]: each["detail"] for each in check["checks"] if not each["ok"]}
    assert (check["status"], list(failed)) == ("degraded", ["models bucket"])
    assert "champion.json" in failed["models bucket"]
    degraded = client.get("/status")
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
    assert (degraded.json()["model_version"], degraded.json()["threshold"]) == (NEW, THRESHOLD)
    assert degraded.json()["problem"] == failed["models bucket"]


def missing(s3: Any) -> None:
    s3.delete_object(Bucket=BUCKET, Key=f"versions/{OTHER}/model.tflite")


@pytest.mark.parametrize(
    "break_it",
    [lambda s3: point(s3, POINTERS["half JSON"]), lambda s3: point(s3, None), missing],
    ids=["half JSON", "deleted", "no model"],
)
def test_a_small_update_begins_at_the_version_that_serves(
    s3: Any, tmp_path: Path, break_it: Callable[[Any], None]
) -> None:
    folder = small.write(tmp_path / NEW, NEW)
    s3.put_object(
        Bucket=BUCKET,
        Key=f"versions/{NEW}/replay.npz",
        Body=(folder / "replay.npz").read_bytes(),
    )
    if break_it is missing:
        registry().promote(OTHER, by="a test", reason="because")
    break_it(s3)
    found = read_live(registry(), CHECKOUT_BASELINE)
    assert found.name == NEW
    assert found.pointer and found.pointer.threshold == THRESHOLD
