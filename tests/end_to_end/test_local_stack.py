"""The local stack answers as AWS would, and refuses to start in one line."""

import re
import shutil
import socket
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner

from local.settings import REGION
from ops.__main__ import main
from tests.local_stack import ROOT, LocalStack, copy_of_the_checkout, free_ports
from tests.waiting import DEADLINE, eventually

pytestmark = pytest.mark.end_to_end

SAMPLE = (ROOT / "sample.jpg").read_bytes()


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
        answer = api.post("/predict", files={"file": ("sample.jpg", SAMPLE, "image/jpeg")})
    else:
        answer = api.post("/predict", content=SAMPLE, headers={"content-type": "image/jpeg"})
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert result["prediction"] in ("clickbait_real", "clickbait_fake")
    assert 0 <= result["probability"] <= 1
    assert answer.headers["x-model-version"] == result["model_version"]


def test_a_bad_image_gets_a_problem_document(api):
    answer = api.post("/predict", files={"file": ("a.jpg", b"not an image", "image/jpeg")})
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 415


def test_no_log_has_the_token_of_the_admin(stack, api, admin):
    token = admin.headers["authorization"].removeprefix("Bearer ")
    assert admin.get("/models").status_code == 200
    assert admin.get("/no-such-route", params={"a": "b"}).status_code == 404
    assert admin.post("/retrain", content=b"{").status_code == 422
    # Somebody who puts it where it does not belong.
    assert api.get("/models", params={"token": token}).status_code == 401
    assert api.get("/models", headers={"authorization": token[:-1]}).status_code in (401, 403)
    assert admin.get("/models").status_code == 200
    logs = [file for file in (stack.state_dir / "logs").rglob("*") if file.is_file()]
    assert logs
    assert [file.name for file in logs if token in file.read_text(errors="replace")] == []


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
        headers = {"origin": origin, "access-control-request-method": "POST"}
        return api.options("/predict", headers=headers)

    page = stack.description()["site_url"]
    for origin in (page, page.replace("127.0.0.1", "localhost")):
        assert preflight(origin).headers["access-control-allow-origin"] == origin
        assert "POST" in preflight(origin).headers["access-control-allow-methods"]
    for origin in ("https://evil.example", stack.api_url, "http://127.0.0.1:8081", "null"):
        assert "access-control-allow-origin" not in preflight(origin).headers


@pytest.fixture
def site(stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.site_url, trust_env=False, timeout=DEADLINE) as client:
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
    assert f"img-src 'self' blob: data: {cloud} https://i.ytimg.com;" in policy
    assert "default-src 'none'" in policy and "amazonaws" not in policy
    config = {"api": stack.api_url, "access": "private", "stack": "clickbait"}
    config |= {"predictions": "open"}
    assert site.get("/config.json").json() == config


def test_the_last_line_is_the_page_with_the_token_to_use_it(stack):
    token = (stack.state_dir / "admin-token").read_text().strip()
    assert stack.ready_line == (
        f"ready: the page is on {stack.site_url}/#token={token} , "
        f"the API on {stack.api_url} (Ctrl-C stops it)"
    )


def test_what_a_function_prints_is_in_the_log(stack):
    log = stack.state_dir / "logs" / "functions.log"
    assert eventually(lambda: "model loaded" in log.read_text())


def test_a_deleted_stack_is_made_again_over_what_it_left(stack, monkeypatch):
    s3, cloudformation = stack.cloud("s3"), stack.cloud("cloudformation")
    bucket = "deleted-data-000000000000-us-east-1"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="train/clickbait/a.jpg", Body=SAMPLE)
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    place = {"AWS_ENDPOINT_URL": stack.description()["cloud_url"], "AWS_DEFAULT_REGION": REGION}
    for name, value in {**keys, **place}.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["recover", "--stack-name", "deleted"])
    assert (done.exit_code, done.output.splitlines()[0]) == (0, f"Imported {bucket}"), done.output
    (resource,) = cloudformation.describe_stack_resources(StackName="deleted")["StackResources"]
    assert (resource["LogicalResourceId"], resource["PhysicalResourceId"]) == ("DataBucket", bucket)
    cloudformation.delete_stack(StackName="deleted")
    assert s3.get_object(Bucket=bucket, Key="train/clickbait/a.jpg")["Body"].read() == SAMPLE


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
        output = other.refused(**{variable: str(port)})
        assert output.count("\n") == 1
        assert str(port) in output and variable in output
        assert not (tmp_path / variable).exists()


def test_without_a_built_page_nothing_starts_and_one_line_says_what_builds_it(tmp_path):
    checkout = copy_of_the_checkout(tmp_path / "checkout")
    shutil.rmtree(checkout / "frontend")
    stack = LocalStack(tmp_path / "state", checkout)
    output = stack.refused()
    assert output.count("\n") == 1
    assert "The page is not built" in output and "`make up`" in output
    assert stack.processes() == set()
