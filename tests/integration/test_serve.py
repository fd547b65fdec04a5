"""make serve: a wrong setting prints one line; workers share requests; a full server refuses."""

import asyncio
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from starlette.types import Message, Receive, Scope, Send

from clickbait.settings import CHECKOUT_BASELINE, Settings
from local.serve.worker import MAX_WAIT, MAX_WAITING, SENDING_SECONDS, Queue
from tests.integration.conftest import ROOT, Server
from tests.local_stack import free_ports
from tests.waiting import DEADLINE, eventually

SAMPLE = (ROOT / "sample.jpg").read_bytes()
JPEG = {"content-type": "image/jpeg"}
PAGE = "http://localhost:8080"

# Each on a new connection. Without `verify` a client does not read certificates, which takes longer
# than a prediction.
fetch = partial(httpx.get, timeout=DEADLINE, verify=False)
send = partial(httpx.post, timeout=DEADLINE, verify=False)


@pytest.fixture(scope="module")
def alone(serve: Callable[..., Server]) -> Server:
    """One worker without a cache."""
    return serve(CACHE_SIZE="0", ALLOWED_ORIGINS=PAGE)


@pytest.fixture(scope="module")
def pair(serve: Callable[..., Server]) -> Server:
    """Two workers without a cache."""
    return serve(WORKERS="2", CACHE_SIZE="0")


def run_to_end(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Start a server that must not serve."""
    return subprocess.run(
        [sys.executable, "-m", "local.serve"],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"PORT": "http"}, "PORT=http is not a whole number"),
        ({"API_PORT": "70000"}, "API_PORT=70000 is not a whole number from 1 to 65535"),
        ({"WORKERS": "0"}, "WORKERS=0 is"),
        ({"CACHE_SIZE": "lots"}, "CACHE_SIZE='lots'"),
        ({"MODEL_PATH": "/nowhere"}, "No model in /nowhere"),
        ({"MODEL_PATH": "/nowhere"}, "or unset it for the model that ships."),
    ],
)
def test_a_wrong_setting_is_one_line_and_no_traceback(variables: dict[str, str], says: str) -> None:
    done = run_to_end({"API_PORT": str(free_ports(1)[0])} | variables)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert says in last
    assert "Traceback" not in done.stderr


def test_model_path_chooses_the_model(
    alone: Server, serve: Callable[..., Server], tmp_path: Path
) -> None:
    shutil.copytree(CHECKOUT_BASELINE, tmp_path / "version")
    metadata = tmp_path / "version" / "metadata.json"
    text = metadata.read_text()
    version = fetch(f"{alone.url}/status").json()["model_version"]
    metadata.write_text(text.replace(version, "20990101-000000-abcdef"))
    server = serve(MODEL_PATH=str(tmp_path / "version" / "model.tflite"))
    status = fetch(f"{server.url}/status")
    assert status.headers["x-model-version"] == "20990101-000000-abcdef"


def test_the_routes_of_every_function_are_served(alone: Server) -> None:
    files = [("files", ("a.jpg", SAMPLE)), ("files", ("b.jpg", SAMPLE))]
    ten = send(f"{alone.url}/predict-batch", files=files)
    assert ten.status_code == 200
    assert len(ten.json()["results"]) == 2
    assert ten.headers["x-model-version"] == fetch(f"{alone.url}/status").json()["model_version"]


def test_debug_mode_logs_each_request_with_its_id(serve: Callable[..., Server]) -> None:
    server = serve(DEBUG_MODE="true")
    request_id = fetch(f"{server.url}/status").headers["x-request-id"]
    server.process.terminate()
    assert request_id in server.process.communicate(timeout=DEADLINE)[0]


def test_cors_is_for_named_origins_only(alone: Server) -> None:
    ours = fetch(f"{alone.url}/status", headers={"origin": PAGE})
    theirs = fetch(f"{alone.url}/status", headers={"origin": "http://evil.example"})
    assert ours.headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-origin" not in theirs.headers


def answered_by(server: Server, connections: int) -> set[int]:
    """The workers that answered `connections` requests, each on a new connection."""
    children = psutil.Process(server.process.pid).children()
    before = {child.pid: sum(child.cpu_times()[:2]) for child in children}
    for _ in range(connections):
        send(f"{server.url}/predict", content=SAMPLE, headers=JPEG).raise_for_status()
    return {
        child.pid for child in children if sum(child.cpu_times()[:2]) - before[child.pid] > 0.02
    }


def test_connections_spread_over_the_workers(pair: Server) -> None:
    # One worker gets two of them or fewer by chance once in 600 million runs.
    assert len(answered_by(pair, connections=40)) == 2


def test_a_port_in_use_is_one_line_although_the_kernel_would_share_it(
    pair: Server,
) -> None:
    port = pair.url.rsplit(":", 1)[1]
    done = run_to_end({"PORT": port, "WORKERS": "2"})
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"port {port} of 127.0.0.1 is in use; PORT names another"]


def test_a_worker_that_dies_is_replaced(pair: Server) -> None:
    supervisor = psutil.Process(pair.process.pid)
    before = supervisor.children()
    before[0].kill()
    before[0].wait(DEADLINE)
    for _ in range(20):
        assert fetch(f"{pair.url}/status").status_code == 200
    assert eventually(lambda: len(supervisor.children()) == 2)
    assert before[0].pid not in {child.pid for child in supervisor.children()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_leaves_no_worker_behind(serve: Callable[..., Server], number: int) -> None:
    server = serve(WORKERS="2")
    workers = psutil.Process(server.process.pid).children()
    assert len(workers) == 2
    server.process.send_signal(number)
    assert server.process.wait(DEADLINE) == (0 if number != signal.SIGKILL else -number)
    assert psutil.wait_procs(workers, timeout=DEADLINE)[1] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_single_worker_that_a_signal_stops_has_not_failed(
    serve: Callable[..., Server], number: int
) -> None:
    server = serve(WORKERS="1")
    server.process.send_signal(number)
    output = server.process.communicate(timeout=DEADLINE)[0]
    assert (server.process.returncode, "Traceback" in output) == (0, False), output


def test_a_full_server_refuses_at_once_and_recovers_soon(
    alone: Server,
) -> None:
    address = alone.url.removeprefix("http://")
    ready = threading.Barrier(3 * MAX_WAITING)

    def one(_: int) -> tuple[float, bool]:
        connection = http.client.HTTPConnection(address, timeout=DEADLINE)
        connection.connect()
        ready.wait()
        started = time.perf_counter()
        connection.request("POST", "/predict", SAMPLE, JPEG)
        response = connection.getresponse()
        took, document = time.perf_counter() - started, json.loads(response.read())
        if response.status != 200:
            assert response.status == document["status"] == 503
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["retry-after"] == "2"
            assert document["type"] == "/docs/problems/busy"
            assert document["request_id"] == response.headers["x-request-id"]
            connection.request("GET", "/status")  # On the same connection.
            assert connection.getresponse().read()
        connection.close()
        return took, response.status == 200

    with ThreadPoolExecutor(3 * MAX_WAITING) as pool:
        responses = list(pool.map(one, range(3 * MAX_WAITING)))
    served = [took for took, ok in responses if ok]
    refused = [took for took, ok in responses if not ok]
    assert len(served) >= MAX_WAITING // 8  # Fewer than MAX_WAITING on a busy machine.
    assert refused
    assert statistics.median(refused) < max(served) / 2
    again = send(f"{alone.url}/predict", content=SAMPLE, headers=JPEG)
    assert again.status_code == 200
    assert fetch(f"{alone.url}/docs/problems/busy").status_code == 200


def test_allowed_origins_can_read_a_refusal() -> None:
    origin = "http://localhost:8080"
    layer = Queue(answers_nothing, max_waiting=0)
    transport = httpx.ASGITransport(layer)

    async def refused(headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/predict", headers=headers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("local.serve.worker.settings", lambda: Settings(allowed_origins=[origin]))
        ours = asyncio.run(refused({"origin": origin}))
        theirs = asyncio.run(refused({"origin": "http://evil.example"}))
    assert ours.status_code == theirs.status_code == 503
    assert ours.headers["access-control-allow-origin"] == origin
    assert "access-control-allow-origin" not in theirs.headers


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("local.serve.worker.time", clock)
    return clock


async def answers_nothing(*_: object) -> None:
    raise AssertionError("a full queue accepts no request")


async def never() -> Message:
    """The rest of a body, which never arrives."""
    await asyncio.Event().wait()
    raise AssertionError


async def whole() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def unsent(_: Message) -> None:
    raise AssertionError("no request is refused")


def post(path: str) -> Scope:
    return {"type": "http", "method": "POST", "path": path, "headers": []}


def test_slow_senders_do_not_fill_the_queue(clock: Clock) -> None:
    done: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        done.append(scope["path"])

    async def scenario() -> None:
        layer = Queue(app, max_waiting=2)
        slow = [asyncio.create_task(layer(post("/slow"), never, unsent)) for _ in range(2)]
        await asyncio.sleep(0)
        assert layer.full()
        clock.now += SENDING_SECONDS + 0.1
        await layer(post("/quick"), whole, unsent)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    asyncio.run(scenario())
    assert done == ["/quick"]


def test_the_body_that_waits_longest_for_bytes_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on, and memory is free again when all are done."""
    monkeypatch.setattr("local.serve.worker.MAX_HELD", 250)
    statuses: dict[str, int] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def scenario() -> None:
        rest = asyncio.Event()
        layer = Queue(app)

        async def upload(path: str) -> None:
            parts = [True, True, False]

            async def receive() -> Message:
                if len(parts) < 3:
                    await rest.wait()
                body = bytes(50) if len(parts) == 3 else b""
                return {"type": "http.request", "body": body, "more_body": parts.pop(0)}

            async def send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    statuses[path] = message["status"]

            await layer(post(path), receive, send)

        tasks = []
        for number in range(7):
            tasks.append(asyncio.create_task(upload(f"/{number}")))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert statuses == {"/0": 503, "/1": 503}
        rest.set()
        await asyncio.gather(*tasks)
        assert statuses["/6"] == 200
        statuses.clear()
        await upload("/after")

    asyncio.run(scenario())
    assert statuses == {"/after": 200}


def test_requests_run_one_at_a_time_in_order_and_small_ones_pass() -> None:
    """The running request delays all requests with a body, and none without one."""
    done: list[str] = []

    async def scenario() -> None:
        free = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            if scope["path"] == "/0":
                await free.wait()
            done.append(scope["path"])

        layer = Queue(app)
        waiting = [asyncio.create_task(layer(post(f"/{n}"), whole, unsent)) for n in range(4)]
        await asyncio.sleep(0)
        waiting[2].cancel()
        await layer(post("/status") | {"method": "GET"}, whole, unsent)
        free.set()
        await asyncio.gather(*waiting, return_exceptions=True)
        await layer(post("/after"), whole, unsent)

    asyncio.run(scenario())
    assert done == ["/status", "/0", "/1", "/3", "/after"]


def test_between_two_turns_the_loop_serves_others() -> None:
    done: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        done.append(scope["path"])
        asyncio.get_running_loop().call_soon(done.append, "all that came meanwhile")

    async def scenario() -> None:
        layer = Queue(app)
        await asyncio.gather(*(layer(post(f"/{n}"), whole, unsent) for n in range(2)))

    asyncio.run(scenario())
    assert done[:3] == ["/0", "all that came meanwhile", "/1"]


def test_a_queue_accepts_the_requests_that_its_pace_allows(clock: Clock) -> None:
    async def scenario() -> None:
        free = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await free.wait()
            clock.now += 0.02

        async def joined() -> int:
            free.clear()
            tasks = []
            while not layer.full():
                tasks.append(asyncio.create_task(layer(post("/"), whole, unsent)))
                await asyncio.sleep(0)
            free.set()
            await asyncio.gather(*tasks)
            return len(tasks)

        layer = Queue(app, max_wait=0.2)
        assert await joined() >= MAX_WAITING  # It does not know its pace yet.
        assert 10 <= await joined() <= 12  # At 20 ms a turn.

    asyncio.run(scenario())


def test_a_queue_that_does_not_move_accepts_no_request(clock: Clock) -> None:
    async def scenario() -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await never()

        layer = Queue(app)
        stuck = [asyncio.create_task(layer(post("/"), whole, unsent)) for _ in range(2)]
        await asyncio.sleep(0)
        assert not layer.full()
        clock.now += MAX_WAIT + 0.1
        assert layer.full()
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)

    asyncio.run(scenario())
