"""A real server, started as `make serve` starts it, and a cloud that outlives killed processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local.cloud import Cloud
from local.settings import StackSettings
from tests.local_stack import free_ports
from tests.waiting import DEADLINE

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Server:
    """`make serve` with one worker in its own process, which may write only to `temporary`."""

    process: subprocess.Popen[str]
    url: str
    temporary: Path

    def peak_megabytes(self) -> float:
        """The peak memory of the process, as the kernel counts it."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start a server with the given variables; all servers end with the module."""
    started: list[Server] = []

    def start(**variables: str) -> Server:
        temporary, (port,) = tmp_path_factory.mktemp("server"), free_ports(1)
        environment = {"PORT": str(port), "WORKERS": "1", "TMPDIR": str(temporary)} | variables
        process = subprocess.Popen(
            [sys.executable, "-m", "local.serve"],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        server = Server(process, f"http://127.0.0.1:{port}", temporary)
        started.append(server)
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            try:
                if httpx.get(f"{server.url}/status").status_code == 200:
                    return server
            except httpx.TransportError:
                time.sleep(0.05)
        process.kill()
        raise AssertionError(f"the server did not start: {process.communicate()[0]}")

    yield start
    for server in started:
        server.process.terminate()
        server.process.communicate(timeout=DEADLINE)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an emulated cloud that outlives killed processes."""
    api, site, port = free_ports(3)
    config = StackSettings(api, site, port, tmp_path_factory.mktemp("cloud"), 1)
    config.prepare().close()
    cloud = Cloud(config, "http://127.0.0.1:9")
    cloud.start()
    try:
        cloud.wait()
        yield config.cloud_url
    finally:
        cloud.stop()
