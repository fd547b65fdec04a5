"""Builds the image of containers/Dockerfile and runs it: make test-containers

It uses buildah, which needs no daemon; where there are no namespaces, `chroot` isolates. BASE_IMAGE
and NODE_IMAGE name other base images, and BUILD_OPTIONS has more options of `buildah build`.
"""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests import whole
from tests.local_stack import LocalStack, free_ports
from tests.waiting import DEADLINE, eventually

ROOT = Path(__file__).resolve().parents[2]
MEGABYTES = {"serve": 250, "whole": 260}
"""The most megabytes of each target; 120 of them are Debian and Python."""

DOCKERFILE = "containers/Dockerfile"
ISOLATED = ("--isolation", "chroot")


def buildah(*arguments: str) -> str:
    """The output of a command of buildah's; its own messages go to the terminal."""
    done = subprocess.run(
        ["buildah", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, f"buildah {' '.join(arguments)}: {done.returncode}"
    return done.stdout.strip()


@pytest.fixture(scope="session", params=["serve", "whole"])
def container(request: pytest.FixtureRequest) -> Iterator[str]:
    """A container of a target of the Dockerfile."""
    if not shutil.which("buildah"):
        pytest.fail("buildah is missing; on Debian: apt-get install buildah")
    images = [
        f"--build-arg={name}={os.environ[name]}"
        for name in ("BASE_IMAGE", "NODE_IMAGE")
        if os.environ.get(name)
    ]
    more = shlex.split(os.environ.get("BUILD_OPTIONS", ""))
    tag = f"localhost/clickbait-{request.param}:test"
    target = ("--target", request.param, "--layers", "--tag", tag, "--file", DOCKERFILE)
    # Docker finds this file by itself.
    ignored = ("--ignorefile", f"{DOCKERFILE}.dockerignore")
    buildah("build", *ISOLATED, *images, *more, *target, *ignored, ".")
    name = buildah("from", tag)
    yield name
    buildah("rm", name)


@contextmanager
def running(container: str, **variables: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address and the process of a server in `container`."""
    (port,) = free_ports(1)
    environment = [f"--env={name}={value}" for name, value in variables.items()]
    command = ["buildah", "run", *ISOLATED, f"--env=PORT={port}", *environment, container, "--"]
    process = subprocess.Popen(
        [*command, "python3", "-m", "local.serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert process.poll() is None, process.communicate()[0]
        try:
            return httpx.get(f"{url}/status").status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually(ready)
        yield url, process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=DEADLINE)


def test_the_image_serves_the_api_and_the_page(container: str) -> None:
    with running(container, WORKERS="2") as (url, _):
        sample = (ROOT / "sample.jpg").read_bytes()
        predicted = httpx.post(f"{url}/predict", files={"file": sample}, timeout=DEADLINE)
        page = httpx.get(url, headers={"accept": "text/html"}, timeout=DEADLINE)
        script = page.text.partition('src="')[2].partition('"')[0]
        assert (predicted.status_code, page.status_code) == (200, 200)
        assert httpx.get(f"{url}{script}", timeout=DEADLINE).status_code == 200
        config = httpx.get(f"{url}/config.json", timeout=DEADLINE).json()
        assert config["pages"] == ["/", "/classify"]
        assert httpx.get(f"{url}/models", timeout=DEADLINE).status_code == 501


def test_a_stop_signal_ends_the_server_and_its_workers(container: str) -> None:
    with running(container, WORKERS="2") as (_, process):
        inside = psutil.Process(process.pid).children(recursive=True)
        server = next(each for each in inside if each.name().startswith("python"))
        workers = server.children()
        server.terminate()
        process.communicate(timeout=DEADLINE)
        assert process.returncode == 0
        assert psutil.wait_procs(workers, timeout=DEADLINE)[1] == []


def test_the_whole_image_has_every_route_on_the_stores_of_a_stack(
    container: str, stack: LocalStack
) -> None:
    if "whole" in container:
        with running(container, **whole.environment(stack)) as (url, _):
            whole.check(url, stack)


def test_the_user_is_not_root_and_can_change_nothing(container: str) -> None:
    script = "id -u; find / -xdev -path /proc -prune -o -path /sys -prune -o -path /dev -prune -o "
    script += "-writable ! -type l -print 2>/dev/null || true"
    user, *writable = buildah("run", *ISOLATED, container, "--", "sh", "-c", script).splitlines()
    assert user == "65532"
    scratch = ("/tmp", "/var/tmp", "/run/lock", "/var/lock", "/var/mail")
    assert [path for path in writable if not path.startswith(scratch)] == []


def test_only_the_whole_image_has_boto3(container: str) -> None:
    whole = "whole" in container
    look = "import importlib.util as u; print(u.find_spec('boto3') is not None)"
    assert buildah("run", *ISOLATED, container, "--", "python3", "-c", look) == str(whole)


def test_the_image_is_small(container: str) -> None:
    folder = buildah("mount", container)
    used = subprocess.run(["du", "-sm", folder], capture_output=True, text=True, check=True)
    target = "whole" if "whole" in container else "serve"
    assert int(used.stdout.split()[0]) <= MEGABYTES[target]
