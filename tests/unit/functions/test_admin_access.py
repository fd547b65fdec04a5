"""Who may call which route: the document and the admin function agree."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from clickbait import aws
from functions import openapi
from tests.cloud import new_client
from tests.unit.functions.conftest import TOKEN

ROOT = Path(__file__).resolve().parents[3]

cached_document = cache(openapi.document)

MEMBER = [
    ("GET", "/models"),
    ("GET", "/models/{version}"),
    ("GET", "/models/{version}/evaluation"),
    ("GET", "/models/{version}/files"),
    ("GET", "/promotions"),
    ("GET", "/runs"),
    ("GET", "/runs/{run}"),
    ("GET", "/dataset"),
    ("GET", "/dataset/images"),
    ("GET", "/dataset/changes"),
    ("GET", "/review"),
    ("POST", "/review"),
    ("GET", "/review/decisions"),
    ("GET", "/review/{review}"),
    ("POST", "/review/{review}"),
    ("POST", "/review/{review}/undo"),
    ("POST", "/feedback"),
    ("GET", "/predictions"),
    ("GET", "/predictions/{prediction}"),
    ("GET", "/metrics"),
]
ADMIN = [
    ("PATCH", "/models/{version}"),
    ("POST", "/models/{version}/promote"),
    ("POST", "/models/{version}/predict"),
    ("PUT", "/threshold"),
    ("POST", "/retrain"),
    ("POST", "/runs/{run}/cancel"),
    ("POST", "/dataset/images"),
    ("PATCH", "/dataset/images/{image}"),
    ("DELETE", "/dataset/images/{image}"),
    ("POST", "/dataset/changes/{change}/undo"),
    ("GET", "/dataset/export"),
    ("GET", "/keys"),
    ("POST", "/keys"),
    ("POST", "/keys/{key}/revoke"),
    ("GET", "/feedback"),
    ("POST", "/feedback/{feedback}/accept"),
    ("POST", "/feedback/{feedback}/reject"),
    ("GET", "/debug"),
]
OF_BATCH = [
    ("POST", "/uploads"),
    ("POST", "/batches"),
    ("GET", "/batches"),
    ("GET", "/batches/{batch}"),
    ("PATCH", "/batches/{batch}"),
    ("POST", "/batches/{batch}/start"),
    ("GET", "/batches/{batch}/uploads"),
    ("GET", "/batches/{batch}/results"),
]
"""Members' routes of the batch function. Its own tests check them."""

PUBLIC = {
    *("/", "/status", "/system-check", "/model-info", "/docs-info"),
    *("/predict", "/predict-batch"),
}


def call(client: TestClient, method: str, path: str, headers: dict[str, str]) -> Any:
    return client.request(method, re.sub(r"\{\w+\}", "x1", path), headers=headers)


def test_every_route_is_in_the_table_of_permissions() -> None:
    documented = {
        (method.upper(), path)
        for path, operations in cached_document()["paths"].items()
        for method in operations
        if path not in PUBLIC
    }
    assert documented == {*MEMBER, *ADMIN, *OF_BATCH}


@pytest.mark.parametrize("access", ["private", "public"])
@pytest.mark.parametrize(("method", "path"), [*MEMBER, *ADMIN])
def test_each_route_refuses_callers_without_permission(
    client: TestClient, cloud: Any, access: str, method: str, path: str
) -> None:
    cloud.set(ACCESS=access)
    open_to_all = access == "public" and (method, path) in MEMBER
    without = call(client, method, path, {})
    wrong = call(client, method, path, {"authorization": "Bearer wrong"})
    right = call(client, method, path, cloud.admin)
    if open_to_all:
        assert without.status_code == wrong.status_code == right.status_code
    else:
        assert without.status_code == 401
        assert without.headers["www-authenticate"] == "Bearer"
        assert without.json()["type"] == "/docs/problems/unauthorized"
        assert wrong.status_code == 403
        assert wrong.json()["type"] == "/docs/problems/forbidden"
    assert right.status_code in {200, 202, 404, 409, 415, 422}


def test_nothing_is_read_or_checked_before_the_caller_is_known(client: TestClient) -> None:
    for path, body in (("/retrain", b"{"), ("/models/!/promote", b"{"), ("/feedback", b"x")):
        assert client.post(path, content=body).status_code == 401
    assert client.get("/runs?limit=many").status_code == 401


def test_the_token_is_in_no_response_and_no_log(client: TestClient, cloud: Any, capfd) -> None:
    for method, path in (*MEMBER, *ADMIN):
        for headers in ({}, cloud.admin, {"authorization": f"Bearer {TOKEN}x"}):
            answer = call(client, method, path, headers)
            assert TOKEN not in answer.text + str(answer.headers)
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["x-content-type-options"] == "nosniff"
    written = capfd.readouterr()
    assert TOKEN not in written.out + written.err


def test_without_its_secret_the_function_names_the_setting(client: TestClient, cloud: Any) -> None:
    cloud.set(ADMIN_SECRET="")
    answer = client.get("/debug", headers=cloud.admin)
    assert answer.status_code == 503
    assert "ADMIN_SECRET" in answer.json()["detail"]


def test_without_its_buckets_and_table_the_function_names_the_settings(
    admin: TestClient, cloud: Any
) -> None:
    cloud.set(MODELS_BUCKET="", TABLE="", DATA_BUCKET="")
    for path, setting in (("/runs", "TABLE"), ("/dataset", "TABLE"), ("/feedback", "DATA_BUCKET")):
        answer = admin.get(path)
        assert answer.status_code == 501
        assert setting in answer.json()["detail"]
    (only,) = admin.get("/models").json()["items"]
    assert only["version"] == cloud.baseline
    assert only["live"]


@pytest.mark.parametrize(("method", "path"), [*MEMBER, *ADMIN, *OF_BATCH])
def test_the_document_says_which_token_a_route_takes_and_how_it_refuses(
    method: str, path: str
) -> None:
    document = cached_document()
    operation = document["paths"][path][method.lower()]
    scheme = "AdminToken" if (method, path) in ADMIN else "MemberToken"
    assert operation["security"] == [{scheme: []}]
    assert document["components"]["securitySchemes"][scheme]["scheme"] == "bearer"
    assert {"401", "403", "503", "500"} <= set(operation["responses"])


def test_every_schema_that_the_document_names_is_in_it() -> None:
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', openapi.text()))
    assert named <= set(cached_document()["components"]["schemas"])


def test_an_unknown_route_of_the_function_is_a_problem(admin: TestClient) -> None:
    answer = admin.get("/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_starting_loads_neither_boto3_nor_schemas_that_only_the_document_needs() -> None:
    script = (
        "import sys, functions.admin.app; "
        "print({'functions.admin.schemas', 'boto3', 'botocore.session'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_lambda_handler_answers_api_gateway(cloud: Any) -> None:
    from functions.admin.app import handler

    event = json.loads((ROOT / "events/http-predict.json").read_text()) | {"rawPath": "/debug"}
    event["requestContext"]["http"].update(method="GET", path="/debug")
    event["headers"] = cloud.admin
    event.pop("body", None)
    answer = handler(event, None)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["versions"]["python"]


def test_after_a_restore_nothing_of_the_snapshot_is_used(
    client: TestClient, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.admin.app import wake

    monkeypatch.setattr(aws, "_new_client", new_client)

    assert client.get("/debug", headers=cloud.admin).status_code == 200
    secrets = aws.client("secretsmanager")
    secrets.put_secret_value(SecretId="stack-admin", SecretString="new")
    signer = aws.signing_client()
    wake()
    assert aws.signing_client() is not signer
    assert aws.client("secretsmanager") is not secrets
    assert client.get("/debug", headers=cloud.admin).status_code == 403
