"""A small update is killed with -9 at six moments: the champion serves, no incomplete version is
listed, and the second attempt ends the run well."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clickbait import LABELS, aws
from clickbait.settings import CHECKOUT_BASELINE, settings
from clickbait.store.registry import METADATA, Registry
from clickbait.store.runs import Parameters, Runs
from functions.learn import app
from local.settings import REGION
from tests.cloud import create_buckets, create_table
from tests.integration.killed import MOMENTS
from tests.samples.classes import framed
from tests.waiting import DEADLINE

ROOT = Path(__file__).resolve().parents[2]
OF_EACH = 25
BASELINE = json.loads((CHECKOUT_BASELINE / METADATA).read_bytes())["model_version"]


@pytest.fixture
def runs(emulator: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Runs:
    """Runs in a table of their own, with 25 labelled images of each class in the data bucket."""
    name = request.node.callspec.params["moment"].replace(" ", "-")
    environment = {
        "AWS_ENDPOINT_URL": emulator,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "DATA_BUCKET": f"data-{name}",
        "MODELS_BUCKET": f"models-{name}",
        "TABLE": f"table-{name}",
    }
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    aws.forget_clients()
    create = aws.client("sqs").create_queue
    for queue in ("LEARN_QUEUE", "UPLOADS_QUEUE"):
        monkeypatch.setenv(queue, create(QueueName=f"{queue}-{name}")["QueueUrl"])
    settings.cache_clear()
    request.addfinalizer(settings.cache_clear)
    create_buckets(environment["DATA_BUCKET"], environment["MODELS_BUCKET"])
    create_table(environment["TABLE"])
    for seed in range(OF_EACH):
        for label in LABELS:
            key = f"train/{label}/{seed}.jpg"
            aws.client("s3").put_object(
                Bucket=environment["DATA_BUCKET"], Key=key, Body=framed(label, seed)
            )
    return Runs.from_settings()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_update_ends_well_at_the_second_attempt(runs: Runs, moment: str) -> None:
    run = str(runs.request("admin", Parameters(), "A test.", "small_update")["id"])
    killed = subprocess.run(
        [sys.executable, "-m", "tests.integration.killed", run, moment],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert killed.returncode == -9, killed.stdout + killed.stderr
    registry = Registry(settings().models_bucket)
    before = registry.pointer()
    assert (before is not None) is (moment == "promoted")
    live = before.version if before else BASELINE
    if before:
        registry.load(live)
    for version in registry.versions():
        registry.load(version)
    assert runs.active() == run

    assert app.update(run)
    ended = runs.get(run)
    assert (ended["state"], ended["attempts"]) == ("PROMOTED", 2), ended
    pointer = registry.pointer()
    assert pointer and pointer.version == ended["version"]
    assert ended["gate"]["candidate"] == ended["version"]
    assert set(registry.versions()) == {BASELINE, ended["version"]}
    assert [p["by"] for p in registry.promotions()] == [f"run {run}"]
    assert runs.active() is None
    assert app.update(run), "a message that arrives once more changes nothing"
    assert runs.get(run) == ended
