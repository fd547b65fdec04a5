"""A real local stack for tests: `python -m local up` on free ports, with its own state."""

import atexit
import contextlib
import json
import os
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

import httpx
import pytest

from tests.waiting import DEADLINE

ROOT = Path(__file__).resolve().parents[1]

PORTS = range(20_000, 32_000)
"""Below the range from which systems take ports for outgoing connections."""

_CLAIMS = contextlib.ExitStack()
"""Keeps other test runs off this run's ports until it ends."""
atexit.register(_CLAIMS.close)


class LocalStack:
    """One `python -m local up` at a time, with one checkout, one state folder and fixed ports."""

    def __init__(self, state_dir: Path, checkout: Path = ROOT, **variables: str) -> None:
        self.state_dir = state_dir
        self.checkout = checkout
        self.variables = variables
        self.api_port, self.cloud_port, self.site_port = free_ports(3)
        self.api_url = f"http://127.0.0.1:{self.api_port}"
        self.site_url = f"http://127.0.0.1:{self.site_port}"
        self.ready_line = ""
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process:
            self.stop()

    def environment(self, **changes: str) -> dict[str, str]:
        mine = {
            "API_PORT": str(self.api_port),
            "CLOUD_PORT": str(self.cloud_port),
            "SITE_PORT": str(self.site_port),
            "STATE_DIR": str(self.state_dir),
            "LOCAL_WORKERS": "2",
            "PYTHONPATH": os.pathsep.join([".", "layers/clickbait/python"]),
            # As under make: if the test run is killed, its stack ends too.
            "MAKELEVEL": "1",
            # Must not reach the functions: they would serve from it, or fail.
            "MODEL_PATH": "/nowhere",
        }
        return {**os.environ, **mine, **self.variables, **changes}

    def start(self) -> None:
        """Return at the `ready` line; fail with the last lines of the output."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local", "up"],
            cwd=self.checkout,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        printed: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_pump, args=(self.process, printed), daemon=True).start()
        lines: list[str] = []
        while not (lines and lines[-1].startswith("ready")):
            try:
                line = printed.get(timeout=DEADLINE)
            except queue.Empty:
                line = ""
            if not line:
                self.stop(signal.SIGKILL)
                pytest.fail("the stack was not ready: " + "".join(lines[-20:]))
            lines.append(line)
        self.ready_line = lines[-1].strip()

    def refused(self, **changes: str) -> str:
        """The output of a start that must fail."""
        done = self._run("local", "up", **changes)
        assert done.returncode == 1, done
        return done.stdout + done.stderr

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE)
        self.process = None
        return code

    def processes(self) -> set[int]:
        """The ids of all processes of this state folder, jobs included, whatever their parent."""
        needle = f"={self.state_dir}".encode()
        found = set()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if needle in environ.read_bytes():
                    found.add(int(environ.parent.name))
            except OSError:  # It has ended, or belongs to another user.
                continue
        return found

    def description(self) -> dict:
        return json.loads((self.state_dir / "stack.json").read_text())

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.api_url, trust_env=False, timeout=DEADLINE)

    def admin(self) -> httpx.Client:
        """A client with the admin's token."""
        client = self.client()
        token = (self.state_dir / "admin-token").read_text().strip()
        client.headers["authorization"] = f"Bearer {token}"
        return client

    def operate(self, *arguments: str, status: int = 0) -> str:
        """The output of `python -m ops`, which must end with `status`."""
        done = self._run("ops", *arguments)
        assert done.returncode == status, done
        return done.stdout

    def _run(
        self, room: str, *arguments: str, **changes: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", room, *arguments],
            cwd=self.checkout,
            env=self.environment(**changes),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def job_log(self, run: str) -> str:
        file = self.state_dir / "logs" / f"job-{run}.log"
        return file.read_text() if file.exists() else ""

    def cloud(self, service: str, **keys: str):
        """A boto3 client of the stack's cloud, with root's keys or with `keys`."""
        import boto3

        root = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(
            service,
            endpoint_url=self.description()["cloud_url"],
            region_name=self.description()["region"],
            **(keys or root),
        )


def _pump(process: subprocess.Popen[str], printed: queue.Queue[str]) -> None:
    """Put each line into `printed` as it comes, then "" at the end of the output."""
    with process.stdout as output:
        for line in output:
            printed.put(line)
    printed.put("")


def free_ports(count: int) -> list[int]:
    """Free ports, all different, reserved for this process among all that call this function.

    The reservation is the UDP port of the same number: no other test run can bind it, it leaves
    the TCP port alone, and it ends with the process, however that ends.
    """
    ports: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        claim = socket.socket(type=socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _CLAIMS.enter_context(claim)
        ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError(f"fewer than {count} of the ports {PORTS} are free")


def copy_of_the_checkout(folder: Path) -> Path:
    """Copy what the stack needs, so that a test can change it; trainings run its `act.sh`."""
    ignored = shutil.ignore_patterns("__pycache__")
    for room in ("frontend/dist", "functions", "layers", "local", "ops"):
        shutil.copytree(ROOT / room, folder / room, ignore=ignored)
    for name in ("template.yaml", "openapi.json"):
        shutil.copy(ROOT / name, folder / name)
    python = folder / "training" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@: attempt $AWS_BATCH_JOB_ATTEMPT"; exec sh act.sh\n')
    python.chmod(0o755)
    (folder / "training" / "requirements.txt").touch()
    (folder / "training" / ".venv" / "done").touch()
    return folder
