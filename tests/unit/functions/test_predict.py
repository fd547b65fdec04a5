"""The predict function: every public route, every header, every problem."""

import asyncio
import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from fastapi.testclient import TestClient

from clickbait import aws, youtube
from clickbait.errors import InvalidModel, Problem, Unavailable
from clickbait.settings import CHECKOUT_BASELINE
from clickbait.store.live import LiveModel
from clickbait.store.registry import Registry
from clickbait.web import bodies
from clickbait.web.app import RequestMiddleware
from functions import openapi
from functions.predict import app as predict
from functions.predict import schemas
from tests.samples.drawn import encoded, picture
from tests.samples.shipped import SIDE

ROOT = Path(__file__).resolve().parents[3]
EVENT = json.loads((ROOT / "events/http-predict.json").read_text())
JPEG = encoded(picture())


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(predict.app) as test_client:
        yield test_client


def assert_canonical_problem(response: Any, status: int, slug: str) -> dict[str, Any]:
    """Every error is a problem document (RFC 9457) whose type is a page."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"/docs/problems/{slug}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"].endswith((".", "jpg"))
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem


def form(data: bytes, field: str = "file") -> dict[str, Any]:
    return {"files": {field: ("image.jpg", data, "image/jpeg")}}


def test_a_prediction_has_every_field_of_the_contract(client: TestClient) -> None:
    response = client.post("/predict", **form(JPEG))
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {
        "prediction", "is_clickbait", "probability", "confidence", "uncertain", "threshold",
        "model_version", "image", "timing_ms", "cached", "request_id",
    }  # fmt: skip
    assert answer["image"]["width"] == 640
    assert answer["image"]["height"] == 360
    assert answer["image"]["format"] == "JPEG"
    assert answer["image"]["bytes"] == len(JPEG)
    assert set(answer["timing_ms"]) == {"decode", "inference", "total"}
    assert response.headers["x-model-version"] == answer["model_version"]
    assert response.headers["x-request-id"] == answer["request_id"]
    assert float(response.headers["x-processing-time"]) > 0
    assert response.headers["x-cold-start"] in {"true", "false"}


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "application/octet-stream"])
def test_a_raw_body_gets_the_same_prediction_as_a_form(client: TestClient, kind: str) -> None:
    raw = client.post("/predict", content=JPEG, headers={"content-type": kind}).json()
    assert raw["probability"] == client.post("/predict", **form(JPEG)).json()["probability"]


def test_explain_adds_both_maps(client: TestClient) -> None:
    answer = client.post("/predict?explain=true", **form(JPEG)).json()
    for cells in (answer["heatmap"], answer["evidence"]):
        assert [len(row) for row in cells] == [SIDE] * SIDE
    assert "evidence" not in client.post("/predict", **form(JPEG)).json()


def test_the_same_bytes_are_answered_from_the_cache(client: TestClient) -> None:
    data = encoded(picture(seed=99))
    first = client.post("/predict", **form(data)).json()
    again = client.post("/predict", **form(data)).json()
    assert (first["cached"], again["cached"]) == (False, True)
    assert first["probability"] == again["probability"]
    assert first["request_id"] != again["request_id"]
    explained = client.post("/predict?explain=true", **form(data)).json()
    assert not explained["cached"]


def test_cache_size_0_caches_nothing(monkeypatch) -> None:
    monkeypatch.setattr(predict.service, "cache", None)
    model = predict.service.live.current()
    assert not predict.classify(model, JPEG, False).prediction["cached"]
    assert not predict.classify(model, JPEG, False).prediction["cached"]


def test_orientations_of_one_image_get_the_same_prediction(client: TestClient) -> None:
    from tests.unit.clickbait.inference.test_images import oriented

    answers = {
        client.post("/predict", **form(oriented(orientation, "PNG"))).json()["probability"]
        for orientation in range(1, 9)
    }
    assert len(answers) == 1


def test_an_image_of_4_mib_passes_and_one_byte_more_is_413_naming_uploads(
    client: TestClient, monkeypatch
) -> None:
    stored = replace(bodies.settings(), data_bucket="images")
    monkeypatch.setattr(bodies, "settings", lambda: stored)
    limit = 4 * 1024 * 1024
    at = JPEG + bytes(limit - len(JPEG))
    for post in (
        lambda data: client.post("/predict", **form(data)),
        lambda data: client.post("/predict", content=data, headers={"content-type": "image/jpeg"}),
    ):
        assert post(at).status_code == 200
        problem = assert_canonical_problem(post(at + b"\0"), 413, "payload-too-large")
        assert problem["limit"] == limit
        assert "/uploads" in problem["detail"]


@pytest.mark.parametrize(("bucket", "size"), [("", 5_000_000), ("images", 10_000_001)])
def test_an_image_that_no_route_takes_is_413_without_naming_one(
    client: TestClient, monkeypatch, bucket: str, size: int
) -> None:
    here = replace(bodies.settings(), data_bucket=bucket)
    monkeypatch.setattr(bodies, "settings", lambda: here)
    response = client.post("/predict", **form(JPEG + bytes(size - len(JPEG))))
    problem = assert_canonical_problem(response, 413, "payload-too-large")
    assert problem["detail"].endswith("Shrink it.")


def test_a_body_far_past_the_limit_is_refused_by_its_announced_length(client: TestClient) -> None:
    response = client.post(
        "/predict", content=bytes(40_000_000), headers={"content-type": "image/png"}
    )
    assert_canonical_problem(response, 413, "payload-too-large")


def test_the_thumbnail_of_a_video_is_classified(client: TestClient, monkeypatch) -> None:
    asked = []

    def thumbnail(address: str) -> bytes:
        asked.append(address)
        return JPEG

    monkeypatch.setattr(youtube, "thumbnail", thumbnail)
    address = "https://youtu.be/dQw4w9WgXcQ"
    answer = client.post("/predict", json={"youtube": address})
    assert answer.status_code == 200
    assert asked == [address]
    direct = client.post("/predict", **form(JPEG)).json()
    assert answer.json()["probability"] == direct["probability"]


def test_max_upload_size_lowers_the_limit(client: TestClient, monkeypatch) -> None:
    lower = replace(bodies.settings(), max_upload_size=len(JPEG) - 1)
    monkeypatch.setattr(bodies, "settings", lambda: lower)
    problem = assert_canonical_problem(
        client.post("/predict", **form(JPEG)), 413, "payload-too-large"
    )
    assert problem["limit"] == len(JPEG) - 1


@pytest.mark.parametrize(
    ("request_parts", "status", "slug", "says"),
    [
        (form(b""), 422, "empty-image", "zero bytes"),
        (form(JPEG[:3_000]), 422, "broken-image", "ends early"),
        (form(b"GIF89a"), 415, "unsupported-format", "a GIF"),
        (form(JPEG, "image"), 422, "bad-request", "fields: image"),
        (
            {"data": {"file": "text"}, "files": {"x": b"1"}},
            422,
            "bad-request",
            "`file` has no file name",
        ),
        ({"files": [("file", JPEG), ("file", JPEG)]}, 422, "bad-request", "Too many files"),
        ({"data": {"file": "text"}}, 415, "unsupported-format", "form-urlencoded"),
        ({"json": {"url": "http://127.0.0.1"}}, 422, "bad-request", "url: Extra inputs"),
        ({"json": {"image": "x" * 300_000}}, 413, "payload-too-large", "send a form"),
        ({"json": {"image": "/9j/4AAQ"}}, 422, "bad-request", "image: Extra inputs"),
        ({"json": {"image": "/9j/4AAQ"}}, 422, "bad-request", "may have a `key`"),
        ({"json": {"image": "/9j/4AAQ"}}, 422, "bad-request", "curl -F file=@image.jpg"),
        ({"json": {"key": "train/clickbait_fake/a.jpg"}}, 422, "bad-request", "key: String"),
        ({"json": {"key": f"uploads/{'0' * 32}"}}, 501, "not-configured", "(DATA_BUCKET)"),
        ({"json": {}}, 422, "bad-request", "either `key` or `youtube`"),
        ({"json": {"youtube": "http://127.0.0.1/x"}}, 422, "bad-request", "no address of a You"),
        ({"json": {"youtube": ""}}, 422, "bad-request", "youtube: String"),
        ({"json": {"youtube": "x" * 600}}, 422, "bad-request", "youtube: String"),
        (
            {"content": b"<a/>", "headers": {"content-type": "application/xml"}},
            415,
            "unsupported-format",
            "application/xml",
        ),
        (
            {"content": b"", "headers": {"content-type": "image/png"}},
            422,
            "empty-image",
            "zero bytes",
        ),
        (
            {"content": b"--x", "headers": {"content-type": "multipart/form-data"}},
            422,
            "bad-request",
            "The form cannot be read",
        ),
        (
            {
                "content": b"nonsense",
                "headers": {"content-type": "multipart/form-data; boundary=x"},
            },
            422,
            "bad-request",
            "form",
        ),
    ],
)
def test_a_bad_request_says_what_is_wrong(
    client: TestClient, request_parts: dict, status: int, slug: str, says: str
) -> None:
    problem = assert_canonical_problem(client.post("/predict", **request_parts), status, slug)
    assert says in problem["detail"]


def test_a_parameter_that_is_not_a_boolean_is_named(client: TestClient) -> None:
    problem = assert_canonical_problem(
        client.post("/predict?explain=perhaps", **form(JPEG)), 422, "bad-request"
    )
    assert "explain" in problem["detail"]


def test_an_unknown_route_and_a_wrong_method_are_problems(client: TestClient) -> None:
    assert_canonical_problem(client.get("/nowhere"), 404, "not-found")
    assert_canonical_problem(client.get("/docs/problems/none"), 404, "not-found")
    problem = assert_canonical_problem(client.get("/predict"), 405, "method-not-allowed")
    assert "POST" in problem["detail"]


def test_every_problem_type_has_a_page(client: TestClient) -> None:
    kinds, seen = [Problem], set()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        seen.add(kind.slug())
        page = client.get(f"/docs/problems/{kind.slug()}")
        assert page.status_code == 200
        assert kind.title in page.text
        assert f"The service answers {kind.status} when " in page.text
    assert len(seen) > 10


def test_an_unhandled_exception_is_a_problem_with_an_id_and_no_trace(
    client: TestClient, monkeypatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the secret cause")

    monkeypatch.setattr(predict, "classify", fail)
    response = client.post("/predict", **form(JPEG))
    assert_canonical_problem(response, 500, "internal-error")
    assert "secret" not in response.text


def test_without_a_model_the_service_answers_503_with_the_time_to_try_again(
    client: TestClient, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr(predict.service, "live", LiveModel(tmp_path))
    for response in (
        client.get("/status"),
        client.get("/model-info"),
        client.post("/predict", **form(JPEG)),
    ):
        assert_canonical_problem(response, 503, "unavailable")
        assert int(response.headers["retry-after"]) > 0
    check = client.get("/system-check").json()
    assert check["status"] == "degraded"
    assert not check["checks"][0]["ok"]


def test_no_answer_names_an_account_a_role_or_a_bucket(
    client: TestClient, monkeypatch, tmp_path
) -> None:
    class Denying:
        def get_object(self, **_: object) -> None:
            message = "User: arn:aws:sts::123456789012:assumed-role/its-role may not GetObject"
            code = {"Code": "AccessDenied", "Message": message}
            meta = {"HTTPStatusCode": 403}
            raise ClientError({"Error": code, "ResponseMetadata": meta}, "GetObject")

    monkeypatch.setattr(aws, "client", lambda _: Denying())
    live = LiveModel(tmp_path, Registry("its-bucket-123456789012"))
    monkeypatch.setattr(predict.service, "live", live)
    for response in (
        client.get("/status"),
        client.get("/system-check"),
        client.get("/model-info"),
        client.post("/predict", **form(JPEG)),
    ):
        assert "AccessDenied" in response.text or "No model" in response.text
        for secret in ("arn:", "123456789012", "its-role", "its-bucket"):
            assert secret not in response.text


def test_a_bucket_that_hangs_delays_only_the_check_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make serve` refreshes the model aside; the old one answers meanwhile."""
    asked, answers = threading.Semaphore(0), threading.Event()

    class Hanging:
        def get_object(self, **_: object) -> None:
            asked.release()
            answers.wait()
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")

    live = LiveModel(CHECKOUT_BASELINE)
    live.warm()
    live.refreshes_aside, live.registry = True, Registry("bucket")
    monkeypatch.setattr(aws, "client", lambda _: Hanging())
    monkeypatch.setattr(predict.service, "live", live)

    async def scenario() -> None:
        transport = httpx.ASGITransport(predict.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            check = asyncio.create_task(client.get("/system-check"))
            await asyncio.to_thread(asked.acquire)
            for response in (
                await client.get("/status"),
                await client.post("/predict", **form(JPEG)),
            ):
                assert response.status_code == 200
            assert not check.done()
            answers.set()
            assert (await check).status_code == 200

    try:
        asyncio.run(scenario())
    finally:
        answers.set()


def test_a_client_that_leaves_while_it_sends_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr("clickbait.web.app.logger.exception", lambda text, **_: logged.append(text))
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b""}
    scope["headers"] = [(b"content-type", b"image/jpeg")]

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    asyncio.run(predict.app(scope, receive, send))
    assert logged == []
    assert RequestMiddleware.recent[-1]["status"] == 499


def test_status_and_system_check_report_a_healthy_service(client: TestClient) -> None:
    status = client.get("/status").json()
    assert status["status"] == "ready"
    assert status["uptime_seconds"] >= 0
    check = client.get("/system-check").json()
    assert check["status"] == "ok"
    assert all(c["ok"] and c["milliseconds"] >= 0 for c in check["checks"])


def test_model_info_is_the_metadata_without_the_golden_images(
    client: TestClient,
) -> None:
    metadata = client.get("/model-info").json()
    for name in ("model_version", "training_date", "training_images", "accuracy", "epochs_trained"):
        assert name in metadata
    assert "golden" not in metadata


def test_the_documentation_needs_no_cdn(client: TestClient) -> None:
    for path in ("/docs", "/redoc"):
        page = client.get(path)
        assert page.status_code == 200
        assert "https://" not in page.text
        for asset in [part.split('"')[0] for part in page.text.split('"/docs/assets/')[1:]]:
            assert client.get(f"/docs/assets/{asset}").status_code == 200
        assert "/docs/assets/" in page.text


def test_root_and_docs_info_link_to_the_routes(client: TestClient) -> None:
    for link in client.get("/").json()["links"].values():
        assert client.get(link).status_code in {200, 405}
    paths = {endpoint["path"] for endpoint in client.get("/docs-info").json()["endpoints"]}
    assert {"/", "/predict", "/status", "/system-check", "/model-info", "/docs-info"} <= paths


def test_the_root_says_if_a_model_is_ready(client: TestClient, monkeypatch) -> None:
    assert client.get("/").json()["status"] == "ready"

    def no_model() -> None:
        raise Unavailable("no model")

    monkeypatch.setattr(predict.service.live, "current", no_model)
    answer = client.get("/")
    assert (answer.status_code, answer.json()["status"]) == (200, "unavailable")


def test_the_examples_of_docs_info_name_this_service_and_real_routes(client: TestClient) -> None:
    paths = json.loads((ROOT / "openapi.json").read_text(encoding="utf-8"))["paths"]
    for example in client.get("/docs-info", headers={"host": "api.example"}).json()["examples"]:
        path = example["command"].split("http://api.example")[1].split("?")[0].rstrip("'")
        assert path in paths


def test_the_committed_openapi_document_is_not_stale(client: TestClient) -> None:
    committed = (ROOT / "openapi.json").read_text(encoding="utf-8")
    assert committed == openapi.text(), "openapi.json is stale: run `make openapi`"
    assert client.get("/openapi.json").json() == json.loads(committed)


def test_a_request_id_of_the_caller_is_kept_if_it_is_a_plain_token(client: TestClient) -> None:
    kept = client.get("/status", headers={"x-request-id": "abc-DEF_12345678"})
    assert kept.headers["x-request-id"] == "abc-DEF_12345678"
    replaced = client.get("/status", headers={"x-request-id": "a b\tc;<script>"})
    assert len(replaced.headers["x-request-id"]) == 32


def event(body: bytes, **changes: Any) -> dict[str, Any]:
    changed = json.loads(json.dumps(EVENT)) | changes
    changed["body"] = base64.b64encode(body).decode()
    changed["headers"]["content-length"] = str(len(body))
    return changed


def test_the_lambda_handler_answers_api_gateway(lambda_context: Any) -> None:
    answer = predict.handler(event(JPEG), lambda_context)
    assert answer["statusCode"] == 200
    assert not answer["isBase64Encoded"]
    body = json.loads(answer["body"])
    assert body["request_id"] == EVENT["requestContext"]["requestId"]


def test_the_lambda_handler_answers_problems_as_text(lambda_context: Any) -> None:
    answer = predict.handler(event(b"GIF89a"), lambda_context)
    assert answer["statusCode"] == 415
    assert not answer["isBase64Encoded"]
    assert json.loads(answer["body"])["status"] == 415


@pytest.fixture
def lambda_context() -> Any:
    class Context:
        function_name = "predict"
        aws_request_id = "1"

    return Context()


def test_in_lambda_each_request_writes_one_line_of_metrics() -> None:
    script = (
        "import json, sys; from functions.predict.app import handler;"
        "event = json.load(open('events/http-predict.json')); event['rawPath'] = '/status';"
        "event['requestContext']['http'].update(method='GET', path='/status');"
        "handler(event, None); handler(event, None)"
    )
    environment = dict(
        __import__("os").environ,
        AWS_LAMBDA_FUNCTION_NAME="predict",
        POWERTOOLS_SERVICE_NAME="predict",
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if "_aws" in line]
    first, second = lines
    assert first["service"] == "predict"
    assert first["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Clickbait"
    assert (first["Requests"], first["ColdStarts"]) == ([1.0], [1.0])
    assert "ColdStarts" not in second
    assert second["Latency"][0] > 0
    assert 20 < second["Memory"][0] < 10_000
    (units,) = [metrics["Metrics"] for metrics in second["_aws"]["CloudWatchMetrics"]]
    assert {"Name": "Memory", "Unit": "Megabytes"} in units


def test_an_invalid_model_is_a_kind_of_unavailable() -> None:
    assert InvalidModel("x").status == 503


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/", schemas.ServiceAnswer),
        ("/status", schemas.StatusAnswer),
        ("/system-check", schemas.SystemCheckAnswer),
        ("/model-info", schemas.ModelInfoAnswer),
        ("/docs-info", schemas.DocsInfoAnswer),
    ],
)
def test_every_response_has_the_shape_that_the_document_promises(
    client: TestClient, path: str, shape: Any
) -> None:
    shape.model_validate_json(client.get(path).content, strict=True)
    document = openapi.document()["paths"][path]["get"]["responses"]["200"]
    assert shape.__name__ in json.dumps(document)


@pytest.mark.parametrize("explain", [False, True])
def test_a_prediction_has_the_shape_that_the_document_promises(
    client: TestClient, explain: bool
) -> None:
    answer = client.post(f"/predict?explain={explain}", **form(JPEG)).content
    schemas.PredictionAnswer.model_validate_json(answer, strict=True)


def test_garbage_is_collected_once_the_function_has_started() -> None:
    script = (
        "import gc, functions.predict.app; print(gc.isenabled(), gc.get_freeze_count() > 50_000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True True"


def test_starting_imports_nothing_that_a_prediction_does_not_need() -> None:
    script = (
        "import sys, functions.predict.app; print({'fastapi', 'pydantic', 'boto3', 'tensorflow', "
        "'functions.predict.schemas'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("function", ["admin", "batch"])
def test_starting_builds_no_schema_that_only_the_document_needs(function: str) -> None:
    script = (
        f"import functions.{function}.app; "
        "from fastapi.openapi.models import OpenAPI; print(OpenAPI.__pydantic_complete__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_threshold_decides_one_request_only_and_is_in_the_answer(client: TestClient) -> None:
    data = (ROOT / "sample.jpg").read_bytes()
    own = client.post("/predict", **form(data)).json()
    assert own["threshold"] == client.get("/status").json()["threshold"] == 0.5
    assert 0.05 < own["probability"] < 0.95
    for threshold in (0.05, 0.95):
        answer = client.post(f"/predict?threshold={threshold}", **form(data)).json()
        assert (answer["threshold"], answer["cached"]) == (threshold, False)
        assert answer["is_clickbait"] == (own["probability"] >= threshold)
        assert (answer["probability"], answer["uncertain"]) == (
            own["probability"],
            own["uncertain"],
        )
    again = client.post("/predict", **form(data)).json()
    assert again["cached"] and again["threshold"] == 0.5
    assert again["is_clickbait"] == own["is_clickbait"]


@pytest.mark.parametrize("threshold", ["0.049", "0.951", "nan", "inf", "half", ""])
def test_a_threshold_out_of_range_is_422(client: TestClient, threshold: str) -> None:
    response = client.post(f"/predict?threshold={threshold}", **form(JPEG))
    problem = assert_canonical_problem(response, 422, "bad-request")
    assert problem["errors"][0]["field"] == "query.threshold"


def test_both_parameters_may_be_wrong_at_once(client: TestClient) -> None:
    response = client.post("/predict?explain=perhaps&threshold=2", **form(JPEG))
    problem = assert_canonical_problem(response, 422, "bad-request")
    assert [error["field"] for error in problem["errors"]] == ["query.explain", "query.threshold"]


def test_a_get_route_takes_no_other_method(client: TestClient) -> None:
    for method in ("HEAD", "POST"):
        response = client.request(method, "/status")
        assert (response.status_code, response.headers["allow"]) == (405, "GET")


def test_the_model_info_has_the_promise_and_the_threshold_in_use(
    client: TestClient, monkeypatch
) -> None:
    info = client.get("/model-info").json()
    schemas.ModelInfoAnswer.model_validate(info, strict=True)
    assert info["uncertain_band"]["promise"] == info["uncertain_band"]["high"]
    loaded = predict.service.live.current()
    band = {"low": 0.4, "high": 0.6}
    older = loaded.at(0.3)
    older.metadata = loaded.metadata | {"uncertain_band": band}
    monkeypatch.setattr(predict.service.live, "_classifier", older)
    info = client.get("/model-info").json()
    assert info["uncertain_band"] == band | {"promise": 0.6}
    assert (info["threshold"], info["threshold_in_use"]) == (0.5, 0.3)
