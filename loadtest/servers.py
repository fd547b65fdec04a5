"""Compare ways to run the API on several cores: python loadtest/servers.py [--clients 8 100 500]

Each server runs the same routes with the same number of workers, without a cache. Its clients send
one image after the other without a pause, each on its own connection, and a client that gets a 503
waits as long as Retry-After says (a second if it says nothing). Another client asks for /status all
the time. granian is measured if it is installed (.venv-peers, or --granian).
"""

import argparse
import asyncio
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "layers/clickbait/python")]

from loadtest.bench import Contender, megabytes, running  # noqa: E402
from loadtest.profiles import percentile  # noqa: E402
from tests.local_stack import free_ports  # noqa: E402
from tests.samples.drawn import encoded, grainy, picture  # noqa: E402

ROUTES, QUEUED = "functions.predict.app:app", "local.serve.worker:application"
WAITING = 128
"""The most requests of a worker that a server may keep waiting: that of our own queue."""

STATUS_SECONDS = 0.1
GIVE_UP_SECONDS = 30.0


def contenders(port: int, workers: int, granian: Path) -> Iterator[Contender]:
    """The servers, each with a command for `port`."""
    ours = {"PORT": str(port), "WORKERS": str(workers), "CACHE_SIZE": "0"}
    yield Contender("make serve", [sys.executable, "-m", "local.serve"], workers, ours)
    uvicorn = [sys.executable, "-m", "uvicorn", "--workers", str(workers), "--port", str(port)]
    uvicorn += ["--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "30"]
    limit = ["--limit-concurrency", str(WAITING)]
    yield Contender("uvicorn --limit-concurrency", [*uvicorn, *limit, ROUTES], workers, ours)
    queued = [*uvicorn, "--factory", QUEUED]
    yield Contender("uvicorn --workers, our queue", queued, workers, ours)
    if granian.exists():
        command = [str(granian), "--interface", "asgi", "--port", str(port), "--no-log"]
        command += ["--workers", str(workers), "--backpressure", str(WAITING)]
        yield Contender("granian --backpressure", [*command, ROUTES], workers, ours)
        yield Contender("granian, our queue", [*command, "--factory", QUEUED], workers, ours)


@dataclass
class Load:
    """The responses and times that the clients of one server saw."""

    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    status: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    by_client: Counter[int] = field(default_factory=Counter)

    def row(self, clients: int, seconds: float) -> str:
        """The figures as cells of a table; fairness is Jain's index, 1 if all got as much."""
        shares = [self.by_client[client] for client in range(clients)]
        squares = clients * sum(share**2 for share in shares)
        fair = sum(shares) ** 2 / squares if squares else math.nan
        p95s = (percentile(sorted(ms), 95) for ms in (self.answered, self.refused, self.status))
        answered, refused, status = (f"{p95:.0f}" for p95 in p95s)
        return (
            f"{len(self.answered) / seconds:.1f} | {answered} | {fair:.2f} | {min(shares)} to "
            f"{max(shares)} | {len(self.refused)} | {refused} | {status} | {self.failed.total()}"
        )


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, dict[bytes, bytes]]:
    """Send `request`; returns the status and the headers of the response after its body."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head[1:] if line)
    await reader.readexactly(int(headers.get(b"content-length", b"0")))
    return int(head[0].split()[1]), headers


async def client(number: int, port: int, request: bytes, load: Load, end: float) -> None:
    """Send `request` again and again until `end`; number -1 asks for the status."""
    writer = None
    while time.monotonic() < end:
        started = time.monotonic()
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                status, headers = await ask(reader, writer, request)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            load.failed[type(error).__name__] += 1
            if writer:
                writer.close()
            writer = None
            await asyncio.sleep(0.1)
            continue
        now = time.monotonic()
        if now > end:
            break
        ms = 1e3 * (now - started)
        if headers.get(b"connection") == b"close":
            writer.close()
            writer = None
        if number < 0:
            load.status.append(ms)
            await asyncio.sleep(STATUS_SECONDS)
        elif status == 200:
            load.answered.append(ms)
            load.by_client[number] += 1
        elif status == 503:
            load.refused.append(ms)
            await asyncio.sleep(float(headers.get(b"retry-after", b"1")))
        else:
            load.failed[str(status)] += 1
    if writer:
        writer.close()


async def measure(port: int, image: bytes, clients: int, seconds: float) -> Load:
    """The load of `clients` for `seconds`."""
    predict = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: image/jpeg\r\n"
    predict += b"content-length: %d\r\n\r\n%b" % (len(image), image)
    status = b"GET /status HTTP/1.1\r\nhost: a\r\n\r\n"
    load, end = Load(), time.monotonic() + seconds
    requests = [(-1, status), *((number, predict) for number in range(clients))]
    tasks = [asyncio.create_task(client(n, port, what, load, end)) for n, what in requests]
    await asyncio.wait(tasks, timeout=seconds + 1)
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
    return load


def processor_seconds(tree: psutil.Process) -> float:
    """The CPU time of a server so far. Divided by its answers, it says more than requests/s on a
    machine that does other work too."""
    return sum(sum(each.cpu_times()[:2]) for each in (tree, *tree.children(recursive=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[8, 100, 500])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--granian", type=Path, default=ROOT / ".venv-peers/bin/granian")
    given = parser.parse_args()
    image = encoded(grainy(picture((1280, 720), seed=3)), quality=85)
    (port,) = free_ports(1)
    # granian may run in an environment that lacks our packages.
    packages = [path for path in sys.path if path.endswith("site-packages")]
    os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path[:2], *packages])
    print(
        "| server | clients | requests/s | p95 ms | fairness | answers a client | refused ", end=""
    )
    print("| p95 of a refusal | p95 of /status | failed | CPU ms | MB |\n" + "|---" * 12 + "|")
    for contender in contenders(port, given.workers, given.granian):
        with running(contender, port) as tree:
            asyncio.run(measure(port, image, 8, 2))
            for clients in given.clients:
                before = processor_seconds(tree)
                load = asyncio.run(measure(port, image, clients, given.seconds))
                used = 1e3 * (processor_seconds(tree) - before) / max(1, len(load.answered))
                row = f"| {contender.name} | {clients} | {load.row(clients, given.seconds)} "
                print(f"{row}| {used:.1f} | {megabytes(tree):.0f} |", flush=True)
                if load.failed:
                    print(dict(load.failed), file=sys.stderr)


if __name__ == "__main__":
    main()
