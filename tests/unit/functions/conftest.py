"""A cloud in memory, with the admin function on top of it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from moto import mock_aws

from clickbait import aws
from clickbait.settings import CHECKOUT_BASELINE, settings
from clickbait.store.runs import Runs
from clickbait.web import callers
from tests.cloud import create_buckets, create_table, share_clients

TOKEN = "the-admins-token"
METADATA = json.loads((CHECKOUT_BASELINE / "metadata.json").read_bytes())
MODEL = (CHECKOUT_BASELINE / "model.tflite").read_bytes()
BASELINE = METADATA["model_version"]

ENVIRONMENT = {
    "DATA_BUCKET": "data",
    "MODELS_BUCKET": "models",
    "TABLE": "table",
    "JOB_QUEUE": "queue",
    "JOB_DEFINITION": "definition",
    "LEARN_QUEUE": "learn",
    "ADMIN_SECRET": "stack-admin",
    "ACCESS": "private",
}


class Cloud:
    """The stored objects and items, as tests write them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.admin = {"authorization": f"Bearer {TOKEN}"}
        self.baseline = BASELINE
        self.s3, self.db = aws.client("s3"), aws.client("dynamodb")
        self.runs = Runs("table", "queue", "definition")
        create_buckets("data", "models")
        create_table("table")
        secret = {"Name": "stack-admin", "SecretString": TOKEN}
        aws.client("secretsmanager").create_secret(**secret)

    def set(self, **variables: str) -> None:
        """Set environment variables; an empty one counts as unset."""
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)
        settings.cache_clear()

    def version(self, name: str, model: bytes = MODEL, **changes: Any) -> str:
        """Store a version in the models bucket, by default a valid one."""
        metadata = METADATA | {"model_version": name} | changes
        prefix = f"versions/{name}/"
        self.s3.put_object(Bucket="models", Key=f"{prefix}model.tflite", Body=model)
        self.s3.put_object(Bucket="models", Key=f"{prefix}metadata.json", Body=json.dumps(metadata))
        return name

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return [one["Key"] for one in found]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    from functions.admin import models

    with mock_aws():
        share_clients(monkeypatch)
        monkeypatch.setattr(callers, "token", callers.Token())
        # Other tests have a stand-in for AWS Batch. Here a run stays as it was requested.
        monkeypatch.setattr(Runs, "_submit", lambda *_: None)
        monkeypatch.setattr(Runs, "_jobs_named", lambda *_: [])
        created = Cloud(monkeypatch)
        created.set(**ENVIRONMENT)
        yield created
    models._stored_metadata.cache_clear()
    models._trained_by.clear()
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def client(cloud: Cloud) -> Iterator[TestClient]:
    """Calls the admin function without a token."""
    from functions.admin.app import app

    with TestClient(app, raise_server_exceptions=False) as created:
        yield created


@pytest.fixture
def admin(cloud: Cloud) -> Iterator[TestClient]:
    """Calls the admin function with the admin's token."""
    from functions.admin.app import app

    with TestClient(app, headers=cloud.admin, raise_server_exceptions=False) as created:
        yield created
