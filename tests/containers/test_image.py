"""Builds the image of containers/Dockerfile and runs it: make test-containers

It uses buildah, which needs no daemon; where there are no namespaces, `chroot` isolates. BASE_IMAGE
and NODE_IMAGE name other base images, and BUILD_OPTIONS has more options of `buildah build`.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
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
SERVER = ("python3", "-m", "local.serve")
Started = AbstractContextManager[tuple[str, "subprocess.Popen[str]"]]

READ_ONLY = """
mount --make-rprivate /
mount --bind "$1" "$1"
mount --options remount,bind,ro "$1"
mount --types proc proc "$1/proc"
folder=$1
shift
exec chroot --userspec=65532:65532 "$folder" sh -euc '
    cd /app
    for place in / /app /tmp /dev/shm; do ! touch $place/written; done
    exec "$@"' sh "$@"
"""
"""Runs a command in the folder of a container, as a container engine does with `--read-only`, but
without `/tmp` and `/dev/shm`, which engines add."""


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


def running(container: str, **variables: str) -> Started:
    """The address and the process of a server in `container`."""
    (port,) = free_ports(1)
    environment = [f"--env={name}={value}" for name, value in variables.items()]
    command = ["buildah", "run", *ISOLATED, f"--env=PORT={port}", *environment, container, "--"]
    return started([*command, *SERVER], port)


def running_read_only(container: str) -> Started:
    """A server that is the first process of its container and can write no file at all."""
    (port,) = free_ports(1)
    folder = buildah("mount", container)
    lines = "{{range .OCIv1.Config.Env}}{{println .}}{{end}}"
    environment = buildah("inspect", "--format", lines, container).splitlines()
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    command += ["sh", "-euc", READ_ONLY, "sh", folder, "env", "-i", *environment, f"PORT={port}"]
    return started([*command, *SERVER], port)


@contextmanager
def started(command: list[str], port: int) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address and the process of the server that `command` starts on `port`."""
    process = subprocess.Popen(
        command,
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


def test_it_needs_no_file_that_it_can_write_and_stops_as_the_first_process(container: str) -> None:
    with running_read_only(container) as (url, process):
        large = os.urandom(4_000_000)
        answers = [
            httpx.post(f"{url}/predict", files={"file": data}, timeout=DEADLINE).status_code
            for data in ((ROOT / "sample.jpg").read_bytes(), large)
        ]
        assert answers == [200, 415]
        assert httpx.get(f"{url}/metrics?format=prometheus", timeout=DEADLINE).status_code == 200
        (server,) = psutil.Process(process.pid).children()
        server.terminate()
        process.communicate(timeout=DEADLINE)
        assert process.returncode == 0


def test_the_health_check_follows_the_server(container: str) -> None:
    """Its command is read from the Dockerfile: images in OCI's format have none."""
    text = (ROOT / DOCKERFILE).read_text().partition("\nHEALTHCHECK ")[2].partition(" CMD ")[2]
    command = json.loads(text.splitlines()[0])
    with running(container) as (url, _):
        port = url.rpartition(":")[2]
        check = ["buildah", "run", *ISOLATED, f"--env=PORT={port}", container, "--", *command]
        assert subprocess.run(check, check=False).returncode == 0
    assert subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode != 0


def test_the_licences_of_the_weights_are_in_the_image(container: str) -> None:
    folder = Path(buildah("mount", container)) / "app"
    for name in ("LICENSE", "NOTICE", "LICENSES/Apache-2.0.txt"):
        assert (folder / name).read_bytes() == (ROOT / name).read_bytes()


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
