"""`make serve` on the stores of a stack, as the image of `--target whole` runs."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests import whole
from tests.local_stack import ROOT, LocalStack, free_ports
from tests.waiting import DEADLINE, eventually

pytestmark = pytest.mark.end_to_end


def test_it_has_every_route_and_ends_at_a_stop_signal(stack: LocalStack, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url, site = f"http://127.0.0.1:{port}", str(ROOT / "frontend/dist")
    own = {"PORT": str(port), "WORKERS": "2", "SITE_DIR": site, "MODEL_PATH": ""}
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.serve"],
            cwd=ROOT,
            env=os.environ | whole.environment(stack) | own,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

        def ready() -> bool:
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                return httpx.get(f"{url}/status", trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        try:
            assert eventually(ready)
            whole.check(url, stack)
        finally:
            process.terminate()
            assert process.wait(DEADLINE) == 0, (tmp_path / "log").read_text()
