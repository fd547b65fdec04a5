"""make serve: a wrong setting is told in one line; the model served is the one asked for."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from clickbait.settings import CHECKOUT_BASELINE
from tests.integration.conftest import ROOT, Server


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"PORT": "http"}, "PORT='http' is not a whole number"),
        ({"API_PORT": "70000"}, "API_PORT='70000' is not a whole number from 1 to 65535"),
        ({"WORKERS": "0"}, "WORKERS='0'"),
        ({"CACHE_SIZE": "lots"}, "CACHE_SIZE='lots'"),
        ({"MODEL_PATH": "/nowhere"}, "/nowhere"),
    ],
)
def test_a_wrong_setting_is_one_line_and_no_traceback(variables: dict[str, str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local.serve"],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert says in last
    assert "Traceback" not in done.stderr


def test_model_path_chooses_the_model(serve: Callable[..., Server], tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT_BASELINE, tmp_path / "version")
    metadata = tmp_path / "version" / "metadata.json"
    text = metadata.read_text()
    version = httpx.get(f"{serve().url}/status").json()["model_version"]
    metadata.write_text(text.replace(version, "20990101-000000-abcdef"))
    server = serve(MODEL_PATH=str(tmp_path / "version" / "model.tflite"))
    status = httpx.get(f"{server.url}/status")
    assert status.headers["x-model-version"] == "20990101-000000-abcdef"


def test_debug_mode_logs_each_request_with_its_id(serve: Callable[..., Server]) -> None:
    server = serve(DEBUG_MODE="true")
    said = httpx.get(f"{server.url}/status").headers["x-request-id"]
    server.process.terminate()
    assert said in server.process.communicate(timeout=20)[0]


def test_cors_is_for_named_origins_only(serve: Callable[..., Server]) -> None:
    server = serve(ALLOWED_ORIGINS="http://localhost:8080")
    ours = httpx.get(f"{server.url}/status", headers={"origin": "http://localhost:8080"})
    theirs = httpx.get(f"{server.url}/status", headers={"origin": "http://evil.example"})
    assert ours.headers["access-control-allow-origin"] == "http://localhost:8080"
    assert "access-control-allow-origin" not in theirs.headers
