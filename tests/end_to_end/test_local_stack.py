"""The local stack answers as AWS would, keeps its state, and leaves no trace."""

import io
import json
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from PIL import Image

from .conftest import ROOT, LocalStack, eventually, free_ports

pytestmark = pytest.mark.end_to_end

SECOND_START_SECONDS = 15
CHAMPION_SECONDS = 60
CHAMPION = "20300101-000000-"


def picture() -> bytes:
    """The committed sample, or one drawn here."""
    sample = ROOT / "sample.jpg"
    if sample.exists():
        return sample.read_bytes()
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((640, 360)).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def promote_a_copy_of_the_baseline(stack: LocalStack) -> str:
    """Put the baseline under another name into the models bucket and make it the champion."""
    baseline = stack.checkout / "layers" / "baseline" / "baseline"
    metadata = json.loads((baseline / "metadata.json").read_text())
    version = CHAMPION + metadata["model_version"].rsplit("-", 1)[-1]
    metadata["model_version"] = version
    bucket = stack.description()["outputs"]["ModelsBucket"]
    s3 = stack.cloud("s3")
    for name, body in (
        (f"versions/{version}/model.tflite", (baseline / "model.tflite").read_bytes()),
        (f"versions/{version}/metadata.json", json.dumps(metadata).encode()),
        ("champion.json", json.dumps({"version": version}).encode()),
    ):
        s3.put_object(Bucket=bucket, Key=name, Body=body)
    return version


def test_status_answers_through_the_gateway(api):
    answer = api.get("/status")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"


def test_the_description_for_scripts_is_there_when_the_stack_is_ready(stack):
    description = stack.description()
    assert set(description) == {"api_url", "site_url", "cloud_url", "region", "outputs"}
    assert description["api_url"] == stack.api_url
    assert {"DataBucket", "ModelsBucket"} <= set(description["outputs"])


@pytest.mark.parametrize("as_form", [True, False])
def test_an_image_is_classified(api, as_form):
    if as_form:
        answer = api.post("/predict", files={"file": ("sample.jpg", picture(), "image/jpeg")})
    else:
        answer = api.post("/predict", content=picture(), headers={"content-type": "image/jpeg"})
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["prediction"] in ("clickbait_real", "clickbait_fake")
    assert 0 <= made["probability"] <= 1
    assert answer.headers["x-model-version"] == made["model_version"]


def test_a_bad_image_gets_a_problem_document(api):
    answer = api.post("/predict", files={"file": ("a.jpg", b"not an image", "image/jpeg")})
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 415


def test_an_unknown_route_gets_a_problem_document(api):
    answer = api.get("/no/such%20route?a=b%2Fc")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_over_the_gateways_limit_gets_413_in_its_own_words(api):
    answer = api.post("/predict", content=bytes(10 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json() == {"message": "Request Entity Too Large"}


def test_the_page_may_call_the_api_and_other_pages_may_not(stack, api):
    def preflight(origin: str):
        asked = {"origin": origin, "access-control-request-method": "POST"}
        return api.options("/predict", headers=asked)

    page = stack.description()["site_url"]
    for origin in (page, page.replace("127.0.0.1", "localhost")):
        assert preflight(origin).headers["access-control-allow-origin"] == origin
        assert "POST" in preflight(origin).headers["access-control-allow-methods"]
    for origin in ("https://evil.example", stack.api_url, "http://127.0.0.1:8081", "null"):
        assert "access-control-allow-origin" not in preflight(origin).headers


@pytest.fixture
def site(stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.site_url, trust_env=False) as client:
        yield client


def test_the_page_that_is_built_answers_at_every_address_of_it(site):
    index = (ROOT / "frontend" / "dist" / "index.html").read_text()
    for address in ("/", "/classify", "/batch/monday.1"):
        answer = site.get(address)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.text == index


def test_what_the_page_loads_is_there_zipped_and_kept_and_what_it_does_not_is_not(site):
    loaded = re.findall(r'(?:src|href)="(/assets/[^"]+)"', site.get("/").text)
    assert loaded
    for address in loaded:
        answer = site.get(address)
        assert answer.status_code == 200
        assert answer.headers["content-encoding"] == "gzip"
        assert "immutable" in answer.headers["cache-control"]
        again = site.get(address, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert site.get("/assets/index-of-yesterday.js").status_code == 404


def test_the_page_may_reach_its_own_api_and_cloud_and_nothing_else(stack, site):
    policy = site.get("/").headers["content-security-policy"]
    cloud = stack.description()["cloud_url"]
    assert f"connect-src 'self' {stack.api_url} {cloud};" in policy
    assert f"img-src 'self' blob: data: {cloud};" in policy
    assert "default-src 'none'" in policy and "amazonaws" not in policy
    config = {"api": stack.api_url, "access": "private", "stack": "clickbait"}
    assert site.get("/config.json").json() == config


def test_the_last_line_is_the_page_with_the_token_to_use_it(stack):
    token = (stack.state_dir / "admin-token").read_text().strip()
    assert stack.ready_line == (
        f"ready: the page is on {stack.site_url}/#token={token} , "
        f"the API on {stack.api_url} (Ctrl-C stops it)"
    )


def test_what_a_function_prints_is_in_the_log(stack):
    log = stack.state_dir / "logs" / "functions.log"
    assert eventually(lambda: "model loaded" in log.read_text(), 10)


def test_a_port_of_one_test_run_is_no_other_ones():
    ports = free_ports(3)
    assert not set(ports) & set(free_ports(3))
    for port in ports:
        with socket.socket(type=socket.SOCK_DGRAM) as claim, pytest.raises(OSError, match="in use"):
            claim.bind(("127.0.0.1", port))
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))


def test_a_port_in_use_is_refused_in_one_line_that_names_the_variable(stack, tmp_path):
    for variable, port in (
        ("API_PORT", stack.api_port),
        ("CLOUD_PORT", stack.cloud_port),
        ("SITE_PORT", stack.site_port),
    ):
        other = LocalStack(tmp_path / variable)
        said = other.refused(**{variable: str(port)})
        assert said.count("\n") == 1
        assert str(port) in said and variable in said
        assert not (tmp_path / variable).exists()


def test_a_champion_in_the_models_bucket_is_served(stack, api):
    version = promote_a_copy_of_the_baseline(stack)

    def served() -> bool:
        # Two at least: each of the two workers looks for itself.
        answers = [api.get("/model-info").headers.get("x-model-version") for _ in range(2)]
        return set(answers) == {version}

    assert eventually(served, CHAMPION_SECONDS)


def failures_to_load(stack: LocalStack) -> float:
    """What CloudWatch counts of a metric that the function prints as a log line."""
    now = datetime.now(UTC)
    found = stack.cloud("cloudwatch").get_metric_statistics(
        Namespace="Clickbait",
        MetricName="ModelLoadFailure",
        Dimensions=[{"Name": "service", "Value": "predict"}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )
    return sum(point["Sum"] for point in found["Datapoints"])


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of what the stack is made of, to change."""
    copy = tmp_path / "checkout"
    for folder in ("frontend/dist", "functions", "layers", "local"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for name in ("template.yaml", "openapi.json"):
        shutil.copy(ROOT / name, copy / name)
    return copy


def test_without_a_built_page_nothing_starts_and_one_line_says_what_builds_it(checkout, tmp_path):
    shutil.rmtree(checkout / "frontend")
    stack = LocalStack(tmp_path / "state", checkout)
    said = stack.refused()
    assert said.count("\n") == 1
    assert "The page is not built" in said and "`make up`" in said
    assert stack.processes() == set()


def test_a_stack_stops_without_a_trace_and_comes_back_with_its_state_and_new_code(
    checkout, tmp_path, stack
):
    """Runs beside the session's stack: other ports, another state folder."""
    second = LocalStack(tmp_path / "state", checkout)
    second.start()
    version = promote_a_copy_of_the_baseline(second)

    assert second.stop(signal.SIGINT) == 0
    assert second.processes() == set()
    for url in (second.site_url, second.api_url):
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, trust_env=False)
    assert not (second.state_dir / "stack.json").exists()
    said = second.refused(CLOUD_PORT="1025")
    assert said.count("\n") == 1
    assert str(second.cloud_port) in said

    app = checkout / "functions" / "predict" / "app.py"
    app.write_text(app.read_text().replace('NAME = "Clickbait Classifier"', 'NAME = "Changed"'))
    second.start()
    assert second.seconds_to_ready < SECOND_START_SECONDS
    with second.client() as client:
        assert client.get("/").json()["name"] == "Changed"
        assert client.get("/model-info").headers["x-model-version"] == version

    # A layer alone, a pointer to nothing, and kill -9, after which only the cloud can tidy up.
    web = checkout / "layers" / "clickbait" / "python" / "clickbait" / "web" / "app.py"
    web.write_text(web.read_text().replace('VERSION = "', 'VERSION = "9.9.'))
    bucket = second.description()["outputs"]["ModelsBucket"]
    second.cloud("s3").put_object(Bucket=bucket, Key="champion.json", Body=b'{"version": "none"}')
    second.stop(signal.SIGKILL)
    assert eventually(lambda: not second.processes(), 20)
    second.start()
    try:
        with second.client() as client:
            assert client.get("/").json()["version"].startswith("9.9.")
        assert eventually(lambda: failures_to_load(second) > 0, 10), "EMF line without a metric"
    finally:
        assert second.stop(signal.SIGTERM) == 0
    assert second.processes() == set()

    with stack.client() as client:
        assert client.get("/status").status_code == 200
