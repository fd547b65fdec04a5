"""Stores that do not answer, or are too busy, end in 503 in every function and route, never 500."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
)
from fastapi.testclient import TestClient

from clickbait import aws
from functions.admin.app import app as admin
from functions.batch.app import app as batch
from functions.predict.app import app as predict
from tests.busy_s3 import BusyS3, served
from tests.cloud import new_client
from tests.unit.functions.test_admin_access import ADMIN, MEMBER, OF_BATCH, call

HOST = "https://data.s3.amazonaws.com"
CLOUD_CALL = BaseClient._make_api_call


def refusal(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "AnyCall")


OUTAGES = [
    ReadTimeoutError(endpoint_url=HOST),
    ConnectTimeoutError(endpoint_url=HOST),
    EndpointConnectionError(endpoint_url=HOST),
    ConnectionClosedError(endpoint_url=HOST),
    IncompleteReadError(actual_bytes=1, expected_bytes=2),
    refusal("SlowDown", 503),
    refusal("InternalServerError", 500),
    refusal("ThrottlingException", 400),
    refusal("ProvisionedThroughputExceededException", 400),
    refusal("RequestLimitExceeded", 400),
    refusal("TooManyRequestsException", 429),
    refusal("RequestTimeout", 400),
]
FAULTS = [refusal("AccessDenied", 403), NoCredentialsError(), ValueError("a mistake")]


def named(error: Exception) -> str:
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    return code or type(error).__name__


UPLOAD = {"key": f"uploads/{'0' * 32}"}
ROUTES = [
    pytest.param(predict, "POST", "/predict", {"json": UPLOAD}, id="predict"),
    pytest.param(batch, "GET", "/batches/x1", {}, id="batch"),
    pytest.param(admin, "GET", "/runs", {}, id="admin"),
]


def fail_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every call to a store raise `error`; the admin's token stays readable."""

    def fail(client: Any, operation: str, given: Any) -> Any:
        if client.meta.service_model.service_name == "secretsmanager":
            return CLOUD_CALL(client, operation, given)
        raise error

    monkeypatch.setattr(BaseClient, "_make_api_call", fail)


@pytest.mark.parametrize("error", OUTAGES, ids=named)
@pytest.mark.parametrize(("app", "method", "path", "body"), ROUTES)
def test_an_outage_is_503_with_the_time_to_try_again(
    cloud: Any,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    app: Any,
    method: str,
    path: str,
    body: dict[str, Any],
) -> None:
    fail_with(error, monkeypatch)
    with TestClient(app, headers=cloud.admin, raise_server_exceptions=False) as client:
        answer = client.request(method, path, **body)
    assert answer.status_code == answer.json()["status"] == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] in {"/docs/problems/unavailable", "/docs/problems/unreadable"}
    assert int(answer.headers["retry-after"]) > 0
    assert HOST not in answer.text


@pytest.fixture
def busy_s3(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[BusyS3]:
    monkeypatch.setattr(aws, "_new_client", new_client)  # Of this endpoint, for this test alone.
    with served(monkeypatch) as server:
        yield server


@pytest.mark.parametrize(
    ("app", "path"), [(admin, "/models"), (admin, "/promotions"), (batch, "/batches/x1")]
)
def test_an_s3_that_answers_503_over_the_network_is_503_until_it_recovers(
    busy_s3: BusyS3, cloud: Any, app: Any, path: str
) -> None:
    with TestClient(app, headers=cloud.admin, raise_server_exceptions=False) as client:
        before = client.get(path)
        busy_s3.busy = True
        answer = client.get(path)
        busy_s3.busy = False
        after = client.get(path)
    assert busy_s3.answered.count(503) == 2, "one attempt and one more, then the caller decides"
    assert answer.status_code == answer.json()["status"] == 503
    assert int(answer.headers["retry-after"]) > 0
    assert busy_s3.url not in answer.text
    assert before.status_code == after.status_code in {200, 404}


@pytest.mark.parametrize("error", FAULTS, ids=named)
def test_a_fault_that_no_time_mends_stays_500(
    cloud: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fail_with(error, monkeypatch)
    with TestClient(batch, headers=cloud.admin, raise_server_exceptions=False) as client:
        answer = client.get("/batches/x1")
    assert answer.status_code == answer.json()["status"] == 500
    assert answer.json()["type"] == "/docs/problems/internal-error"


@pytest.mark.parametrize(
    ("app", "routes"),
    [pytest.param(admin, [*MEMBER, *ADMIN], id="admin"), pytest.param(batch, OF_BATCH, id="batch")],
)
def test_no_route_answers_500_while_the_stores_are_silent(
    cloud: Any, monkeypatch: pytest.MonkeyPatch, app: Any, routes: list[tuple[str, str]]
) -> None:
    fail_with(ReadTimeoutError(endpoint_url=HOST), monkeypatch)
    with TestClient(app, headers=cloud.admin, raise_server_exceptions=False) as client:
        found = {route: call(client, *route, cloud.admin).status_code for route in routes}
    assert {route: status for route, status in found.items() if status in {500, 502, 504}} == {}
    assert list(found.values()).count(503) > len(routes) / 3
