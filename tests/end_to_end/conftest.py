"""A real local stack for the tests: `python -m local up` on free ports, with its own state."""

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
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]

READY_SECONDS = 90
"""A first start takes 5 s on an idle machine; tests may share theirs with anything."""

PORTS = range(20_000, 32_000)
"""Below what systems take for connections that go out, which would come and go between."""

_CLAIMS = contextlib.ExitStack()
"""What keeps other test runs off this one's ports, until it ends."""
atexit.register(_CLAIMS.close)


class LocalStack:
    """One `python -m local up` at a time, always in the same checkout, state folder and ports."""

    def __init__(self, state_dir: Path, checkout: Path = ROOT, **variables: str) -> None:
        self.state_dir = state_dir
        self.checkout = checkout
        self.variables = variables
        self.api_port, self.cloud_port, self.site_port = free_ports(3)
        self.api_url = f"http://127.0.0.1:{self.api_port}"
        self.site_url = f"http://127.0.0.1:{self.site_port}"
        self.ready_line = ""
        self.seconds_to_ready = 0.0
        self.process: subprocess.Popen[str] | None = None

    def environment(self, **changes: str) -> dict[str, str]:
        mine = {
            "API_PORT": str(self.api_port),
            "CLOUD_PORT": str(self.cloud_port),
            "SITE_PORT": str(self.site_port),
            "STATE_DIR": str(self.state_dir),
            "LOCAL_WORKERS": "2",
            "PYTHONPATH": os.pathsep.join([".", "layers/clickbait/python"]),
            # As under make: a test run that is killed takes its stack with it.
            "MAKELEVEL": "1",
            # What must not reach the functions: they would serve from it, or fail.
            "MODEL_PATH": "/nowhere",
        }
        return {**os.environ, **mine, **self.variables, **changes}

    def start(self) -> None:
        """Return at the `ready` line; the last lines of the output are the failure's text."""
        started = time.monotonic()
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
            left = started + READY_SECONDS - time.monotonic()
            try:
                line = printed.get(timeout=max(left, 0.01))
            except queue.Empty:
                line = ""
            if not line:
                self.stop(signal.SIGKILL)
                pytest.fail("the stack was not ready: " + "".join(lines[-20:]))
            lines.append(line)
        self.ready_line = lines[-1].strip()
        self.seconds_to_ready = time.monotonic() - started

    def refused(self, **changes: str) -> str:
        """The output of a start that must fail at once."""
        done = subprocess.run(
            [sys.executable, "-m", "local", "up"],
            cwd=self.checkout,
            env=self.environment(**changes),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 1, done
        return done.stdout + done.stderr

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code

    def processes(self) -> set[int]:
        """All that runs for this state folder, its jobs too, whoever its parent is now."""
        needle = f"={self.state_dir}".encode()
        found = set()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if needle in environ.read_bytes():
                    found.add(int(environ.parent.name))
            except OSError:  # It ended meanwhile, or is not ours.
                continue
        return found

    def description(self) -> dict:
        return json.loads((self.state_dir / "stack.json").read_text())

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.api_url, trust_env=False, timeout=40)

    def admin(self) -> httpx.Client:
        """A client with the admin's token."""
        client = self.client()
        token = (self.state_dir / "admin-token").read_text().strip()
        client.headers["authorization"] = f"Bearer {token}"
        return client

    def command(self, *arguments: str, status: int = 0) -> str:
        """What `python -m local` prints, once it has ended with `status`."""
        done = subprocess.run(
            [sys.executable, "-m", "local", *arguments],
            cwd=self.checkout,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done
        return done.stdout

    def job_log(self, run: str) -> str:
        file = self.state_dir / "logs" / f"job-{run}.log"
        return file.read_text() if file.exists() else ""

    def cloud(self, service: str, **keys: str):
        """A client of the stack's cloud: root's, or one with other `keys`."""
        import boto3

        root = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(
            service,
            endpoint_url=self.description()["cloud_url"],
            region_name=self.description()["region"],
            **(keys or root),
        )


def _pump(process: subprocess.Popen[str], printed: queue.Queue[str]) -> None:
    """Lines as they come, then "" at the end of the output."""
    with process.stdout as output:
        for line in output:
            printed.put(line)
    printed.put("")


def free_ports(count: int) -> list[int]:
    """Ports that are free, all of them different, and nobody else's who asks here until this ends.

    The claim is the UDP port of the same number: whoever runs tests beside this cannot bind it, a
    server's TCP port is untouched by it, and it ends with the process, however that ends.
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
    raise RuntimeError(f"of the ports {PORTS} there are not {count} free ones")


def eventually(condition, seconds: float):
    """The first true value of `condition`, or its last."""
    until = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < until:
        time.sleep(0.2)
    return value


def copy_of_the_checkout(folder: Path) -> Path:
    """What the stack is made of, to change; trainings run `act.sh`, which is to be written."""
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


@pytest.fixture(scope="session")
def stack(tmp_path_factory) -> Iterator[LocalStack]:
    """The repository's own stack, started once."""
    stack = LocalStack(tmp_path_factory.mktemp("stack"))
    stack.start()
    try:
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def api(stack) -> Iterator[httpx.Client]:
    with stack.client() as client:
        yield client
