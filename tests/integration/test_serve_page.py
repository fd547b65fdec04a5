"""make serve with SITE_DIR: the page and the API on one address, as a container has them."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest

from local.serve import page
from tests.integration.conftest import ROOT, Server
from tests.integration.test_serve import run_to_end
from tests.local_stack import free_ports
from tests.waiting import DEADLINE

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
INDEX = b"<!doctype html><title>page</title>"

fetch = partial(httpx.get, timeout=DEADLINE, verify=False)


@pytest.fixture(scope="module")
def site(serve: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder = tmp_path_factory.mktemp("dist")
    (folder / "index.html").write_bytes(INDEX)
    (folder / "assets").mkdir()
    (folder / "assets" / "app-1.js").write_text("1")
    return serve(SITE_DIR=str(folder))


def test_a_browser_gets_the_page_and_other_clients_the_api(site: Server) -> None:
    for path in ("/", "/classify", "/models", "/batch/holiday%20in.may"):
        opened = fetch(f"{site.url}{path}", headers=BROWSER)
        assert (opened.status_code, opened.content) == (200, INDEX), path
        assert opened.headers["vary"].startswith("accept")
        assert "default-src 'none'" in opened.headers["content-security-policy"]
    assert fetch(f"{site.url}/").json()["status"] == "ready"
    assert fetch(f"{site.url}/models").status_code == 501
    assert fetch(f"{site.url}/status", headers=BROWSER).json()["status"] == "ready"
    assert "swagger" in fetch(f"{site.url}/docs", headers=BROWSER).text
    assert fetch(f"{site.url}/openapi.json", headers=BROWSER).json()["paths"]
    script = fetch(f"{site.url}/assets/app-1.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert fetch(f"{site.url}/assets/none.js").status_code == 404
    assert httpx.post(f"{site.url}/classify", headers=BROWSER, timeout=DEADLINE).status_code == 404


def test_the_page_shows_only_what_the_server_has(site: Server) -> None:
    config = fetch(f"{site.url}/config.json").json()
    assert config == {
        "api": "/",
        "access": "private",
        "stack": page.STACK,
        "predictions": "open",
        "pages": ["/", "/classify"],
    }


def test_the_pages_are_those_of_the_frontend() -> None:
    text = (ROOT / "frontend/src/app.tsx").read_text()
    assert set(re.findall(r'<Route path="(/\w*)"', text)) == set(page.NEEDS)


def test_links_to_an_emulated_bucket_pass_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://minio:9000/x")
    policy = dict(page.headers())[b"content-security-policy"]
    assert b"connect-src 'self' https: http://minio:9000;" in policy


def test_a_folder_without_a_page_is_one_line(tmp_path: Path) -> None:
    done = run_to_end({"PORT": str(free_ports(1)[0]), "SITE_DIR": str(tmp_path), "WORKERS": "2"})
    assert done.returncode == 1
    assert "The page is not built" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
