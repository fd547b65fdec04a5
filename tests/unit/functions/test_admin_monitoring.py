"""GET /predictions and GET /metrics: access, refusals, and the promised shapes."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from clickbait.settings import Settings
from clickbait.store import history, monitoring
from clickbait.web import access, callers
from clickbait.web.app import create_app
from functions.admin import monitoring as routes
from functions.admin import stores
from functions.admin.monitoring_schemas import Metrics, Predictions

ROW = {
    "at": "2026-11-22T10:00:00.000001Z",
    "request_id": "r1",
    "prediction": "clickbait_fake",
    "is_clickbait": True,
    "probability": 0.9,
    "uncertain": False,
    "model_version": "v1",
    "sha256": "a" * 64,
    "ms": 9.0,
    "source": "predict",
    "batch": None,
    "threshold": None,
    "features": None,
}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    open_to_all = Settings(access="public", table="table")
    monkeypatch.setattr(access, "settings", lambda: open_to_all)
    monkeypatch.setattr(stores, "settings", lambda: open_to_all)
    app = create_app("test", "test")
    app.include_router(routes.router)
    return TestClient(app)


def test_a_page_of_predictions_has_a_cursor(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def page(table: str, limit: int, cursor: str | None, **filters: Any) -> Any:
        asked.append((table, limit, cursor, {k: v for k, v in filters.items() if v}))
        return [ROW], "2026-11-22T10:00:00.000001Z#r1"

    monkeypatch.setattr(history, "page", page)
    body = client.get("/predictions?limit=1&class=clickbait_fake&day=2026-11-22").json()
    Predictions.model_validate(body, strict=True)
    assert body["items"] == [ROW]
    client.get("/predictions", params={"cursor": body["next"], "batch": "b", "version": "v"})
    day = asked[0][3].pop("day")
    assert day.isoformat() == "2026-11-22"
    assert asked == [
        ("table", 1, None, {"prediction": "clickbait_fake"}),
        ("table", 20, "2026-11-22T10:00:00.000001Z#r1", {"batch": "b", "version": "v"}),
    ]


@pytest.mark.parametrize(
    "query",
    [
        "predictions?limit=0",
        "predictions?limit=101",
        "predictions?class=real",
        "predictions?day=yesterday",
        "predictions?day=2026",
        "predictions?day=2026-11-22T00:00:00",
        "predictions?cursor=abc",
        "predictions?version=" + "v" * 65,
        "metrics?window=1y",
    ],
)
def test_a_value_out_of_range_is_422(client: TestClient, query: str) -> None:
    response = client.get(f"/{query}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/predictions", "/metrics"])
def test_if_access_is_private_only_the_admin_may_read(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(access, "settings", lambda: Settings(admin_secret="secret"))
    monkeypatch.setattr(callers.token, "matches", lambda given: False)
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"authorization": "Bearer wrong"}).status_code == 403


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
    for path in ("/predictions", "/metrics"):
        response = client.get(path)
        assert response.status_code == 501
        assert "TABLE" in response.json()["detail"]
