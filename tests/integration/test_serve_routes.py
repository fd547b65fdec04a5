"""make serve says what it cannot do without a store, offers the rest, and counts for Prometheus."""

import json
import re
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from clickbait.errors import NotConfigured
from clickbait.settings import Settings
from functions.openapi import document
from local.serve import metrics, routes
from local.serve.metrics import BUCKETS, WIDTH, Counters, lines, shared_figures
from local.serve.routes import NEEDS, flat, missing
from tests.integration.conftest import ROOT, Server
from tests.waiting import DEADLINE

SAMPLE = (ROOT / "sample.jpg").read_bytes()
ALONE = {
    *("/", "/status", "/system-check", "/model-info", "/docs-info", "/predict", "/predict-batch"),
}
"""The routes of a server without any store."""

OF_TABLE = {
    *("/predictions", "/predictions/{prediction}", "/metrics"),
    *("/runs", "/runs/{run}", "/runs/{run}/cancel"),
}

fetch = partial(httpx.get, timeout=DEADLINE, verify=False)


@pytest.fixture(scope="module")
def pair(serve: Callable[..., Server]) -> Server:
    """Two workers without a bucket."""
    return serve(WORKERS="2")


def every_operation() -> list[tuple[str, str]]:
    paths = document()["paths"].items()
    return [(method, path) for path, operations in paths for method in operations]


def test_each_route_without_its_store_answers_501_with_the_setting(pair: Server) -> None:
    with httpx.Client(base_url=pair.url, timeout=DEADLINE, verify=False) as client:
        for method, path in every_operation():
            if path in ALONE:
                continue
            answer = client.request(method, re.sub(r"\{\w+\}", "x", path))
            problem = answer.json()
            assert (answer.status_code, problem["status"]) == (501, 501), path
            assert answer.headers["content-type"] == "application/problem+json"
            assert "retry-after" not in answer.headers
            assert problem["detail"].startswith("Not configured: this server has no ")
            assert f"({problem['setting']})" in problem["detail"]
        batches = client.post("/batches", json={}).json()["detail"]
        key = client.post("/predict", json={"key": f"uploads/{'0' * 32}"})
    assert "Not configured: this server has no bucket (DATA_BUCKET)" in batches
    assert key.status_code == 501


def test_the_documentation_offers_only_what_is_there(pair: Server) -> None:
    listed = fetch(f"{pair.url}/docs-info").json()
    assert {each["path"] for each in listed["endpoints"]} == ALONE
    assert set(fetch(f"{pair.url}/openapi.json").json()["paths"]) == ALONE
    assert "/retrain" not in json.dumps(listed["examples"])
    assert listed["examples"]


def test_every_route_is_in_the_table_of_needs() -> None:
    firsts = {path.split("/")[1] for _, path in every_operation() if path not in ALONE}
    assert firsts == set(NEEDS)


@pytest.mark.parametrize(
    ("given", "open_to"),
    [
        ({}, set()),
        ({"table": "t"}, set()),
        ({"table": "t", "access": "public"}, OF_TABLE - {"/runs/{run}/cancel"}),
        ({"admin_secret": "s", "table": "t"}, {"/debug", "/keys", "/keys/{key}/revoke"} | OF_TABLE),
    ],
)
def test_stores_and_a_token_open_their_routes(
    given: dict[str, Any], open_to: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.admin import app as admin
    from functions.batch import app as batch

    monkeypatch.setattr(routes, "settings", lambda: Settings(**given))
    every = [*flat(batch.app.routes), *flat(admin.app.routes)]
    able = {route.path for route in every if not missing(route)}
    assert able == {"/predict-batch"} | open_to


def test_trainings_need_their_queues_and_everything_else_only_stores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from functions.admin import app as admin
    from functions.batch import app as batch

    stores = dict.fromkeys(("data_bucket", "models_bucket", "table", "admin_secret"), "x")
    queues = dict.fromkeys(("learn_queue", "job_queue", "job_definition"), "x")
    every = [*flat(batch.app.routes), *flat(admin.app.routes)]
    for given in [stores, *(stores | queues | {name: ""} for name in queues)]:
        monkeypatch.setattr(routes, "settings", lambda given=given: Settings(**given))
        lacking = {route.path: missing(route) for route in every if missing(route)}
        (name,) = lacking.values()
        assert lacking == {"/retrain": name} and not given.get(name)
        assert NotConfigured.without(name.upper()).status == 501
    monkeypatch.setattr(routes, "settings", lambda: Settings(**stores, **queues))
    assert [route for route in every if missing(route)] == []


def figures(text: str) -> dict[str, float]:
    """The samples of a text in Prometheus' format, every line of which is checked."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("# HELP clickbait_") and not line.startswith("# TYPE clickbait_"):
            sample = re.fullmatch(r'(clickbait_\w+(?:\{\w+="[^"]*"\})?) (-?[0-9.e+]+)', line)
            assert sample, line
            found[sample[1]] = float(sample[2])
    return found


def test_metrics_are_text_for_prometheus_and_count_all_workers(pair: Server) -> None:
    accepts = {"accept": "application/openmetrics-text;q=0.5,text/plain;version=0.0.4;q=0.3"}
    before = figures(fetch(f"{pair.url}/metrics", headers=accepts).text)
    for _ in range(12):
        jpeg = {"content-type": "image/jpeg"}
        httpx.post(f"{pair.url}/predict", content=SAMPLE, headers=jpeg, timeout=DEADLINE)
    answer = fetch(f"{pair.url}/metrics?format=prometheus")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    after = figures(answer.text)
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown['clickbait_requests_total{status="200"}'] == 13  # With the first GET /metrics.
    assert grown["clickbait_prediction_seconds_count"] == 12
    assert grown['clickbait_prediction_seconds_bucket{le="+Inf"}'] == 12
    assert after['clickbait_worker_memory_bytes{worker="1"}'] > 20e6
    wrong = fetch(f"{pair.url}/metrics?format=xml")
    assert (wrong.status_code, "prometheus" in wrong.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        ("text/plain", True),
        ("TEXT/PLAIN;version=0.0.4", True),
        ("text/html,text/plain;q=0.5", True),
        ("application/json, text/plain, */*", False),
        ("*/*", False),
    ],
)
def test_only_a_client_that_wants_text_and_no_json_gets_text(accept: str, text: bool) -> None:
    headers = [(b"accept", accept.encode())]
    request = Request({"type": "http", "query_string": b"", "headers": headers})
    assert metrics.wants_text(request) is text


def test_a_version_of_any_name_is_one_label(monkeypatch: pytest.MonkeyPatch) -> None:
    live = SimpleNamespace(current=lambda: SimpleNamespace(version='a"b\\c\nd'))
    monkeypatch.setattr(metrics, "serving", lambda: live)
    last = list(lines(Counters(shared_figures(1), 0).rows))[-1]
    assert last == r'clickbait_model_info{version="a\"b\\c\nd"} 1'


def test_the_histogram_is_cumulative_over_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = shared_figures(2)
    for place in (0, 1):
        counters = Counters(shared, place)
        counters.answered("/predict", 200, BUCKETS[0])
        counters.answered("/predict", 200, 99.0)
        counters.answered("/predict", 418, 1.0)
        counters.waiting(3)
    assert len(shared) == 2 * WIDTH
    found = figures("\n".join(lines(Counters(shared, 0).rows)))
    assert found[f'clickbait_prediction_seconds_bucket{{le="{BUCKETS[0]}"}}'] == 2
    assert found['clickbait_prediction_seconds_bucket{le="10.0"}'] == 2
    assert found['clickbait_prediction_seconds_bucket{le="+Inf"}'] == 4
    assert found["clickbait_prediction_seconds_sum"] == pytest.approx(198.02)
    assert found['clickbait_requests_total{status="0"}'] == 2
    assert found["clickbait_waiting_requests"] == 6


def test_an_admin_token_guards_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from clickbait.errors import Unauthorized
    from clickbait.web import access, callers

    config = Settings(admin_secret="s")
    monkeypatch.setattr(metrics, "settings", lambda: config)
    monkeypatch.setattr(access, "settings", lambda: config)
    monkeypatch.setattr(callers.token, "matches", lambda given: False)
    scope = {"type": "http", "headers": [], "state": {"request_id": "x"}}
    with pytest.raises(Unauthorized):
        asyncio.run(metrics.respond(Request(scope), Counters(shared_figures(1), 0)))
