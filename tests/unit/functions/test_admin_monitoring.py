"""GET /metrics: access, refusals, and the promised shape."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from clickbait.settings import Settings
from clickbait.store import history, monitoring
from clickbait.web import access, callers
from clickbait.web.app import create_app
from functions.admin import monitoring as routes
from functions.admin import stores
from functions.admin.monitoring_schemas import Metrics


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    open_to_all = Settings(access="public", table="table")
    monkeypatch.setattr(access, "settings", lambda: open_to_all)
    monkeypatch.setattr(stores, "settings", lambda: open_to_all)
    app = create_app("test", "test")
    app.include_router(routes.router)
    return TestClient(app)


def test_an_unknown_window_is_422(client: TestClient) -> None:
    response = client.get("/metrics?window=1y")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_if_access_is_private_only_the_admin_may_read(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "settings", lambda: Settings(admin_secret="secret"))
    monkeypatch.setattr(callers.token, "matches", lambda given: False)
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 403


def test_metrics_have_the_promised_shape(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing:
        def get_metric_data(self, **_: Any) -> dict[str, Any]:
            return {"MetricDataResults": []}

    monkeypatch.setattr(monitoring.aws, "client", lambda _: Nothing())
    monkeypatch.setattr(history, "recent", lambda *_: [])
    monitoring.forget()
    for window, points in (("1h", 60), ("24h", 24), ("7d", 168)):
        body = client.get(f"/metrics?window={window}").json()
        Metrics.model_validate(body, strict=True)
        assert len(body["points"]) == points
        # The limit is known only in Lambda.
        assert {one["memory_limit_mb"] for one in body["functions"]} == {None}
    assert client.get("/metrics").json()["window"] == "24h"


def test_cloudwatch_that_does_not_answer_is_503(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import EndpointConnectionError

    def unreachable(*_: object) -> Any:
        raise EndpointConnectionError(endpoint_url="https://monitoring")

    monkeypatch.setattr(monitoring, "metrics", unreachable)
    response = client.get("/metrics")
    assert response.status_code == 503
    assert response.headers["retry-after"]


def test_without_a_table_the_error_names_the_setting(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "settings", Settings)
    response = client.get("/metrics")
    assert response.status_code == 501
    assert "TABLE" in response.json()["detail"]
