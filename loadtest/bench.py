"""`make bench`: compare this service with the bare loop, the seed's design and its peers.

All classify the same image for the same number of clients on the same cores. They take turns in
rounds, so that a slow minute of a shared machine affects all of them. Ratios are computed within a
round; the table shows medians. CPU is the time of all processes of a server for one image: a busy
machine affects it less than the rate. The seed and the peers are read from --yardstick, and rows
without their files are left out.

Each peer is measured twice: with the file that this service ships, and with EfficientNet-Lite0 at
224 px, which its user would choose without this project. `loadtest/lite0.py` writes that file once.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "layers/clickbait/python")]

from clickbait.settings import CHECKOUT_BASELINE  # noqa: E402
from tests.local_stack import free_ports  # noqa: E402
from tests.samples.drawn import encoded, grainy, picture  # noqa: E402

PEERS = ROOT / ".venv-peers/bin"
START_SECONDS = 90


@dataclass
class Contender:
    """A server to measure: its command, its number of workers, and the images of a request."""

    name: str
    command: list[str]
    workers: int
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT
    images: int = 1


def contenders(yardstick: Path, port: int, workers: int, scratch: Path) -> Iterator[Contender]:
    """The contenders that are installed here, each with a command for `port`."""
    us = [sys.executable, "-m", "local.serve"]
    ours = {"PORT": str(port), "WORKERS": str(workers)}
    yield Contender("this service", us, workers, ours | {"CACHE_SIZE": "0"})
    yield Contender(
        "this service, ten a request", us, workers, ours | {"CACHE_SIZE": "0"}, images=10
    )
    yield Contender("this service, cached", us, workers, ours)
    if not (yardstick / "peers").is_dir() or not (PEERS / "python").exists():
        return
    peers = scratch / "peers"
    copy_peers(yardstick / "peers", peers)
    plain = [
        str(PEERS / "uvicorn"),
        "plain_fastapi:app",
        "--workers",
        str(workers),
        "--no-access-log",
    ]
    litserve = [str(PEERS / "python"), "litserve_server.py", str(port)]
    bento = [str(PEERS / "bentoml"), "serve", "bentoml_service:Thumbnails", "--host", "127.0.0.1"]
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(scratch / "bentoml")}
    for suffix, file in (("", CHECKOUT_BASELINE / "model.tflite"), (", Lite0", lite0(scratch))):
        model = quiet | {"MODEL": str(file)}
        for name, command in (
            ("plain FastAPI", [*plain, "--port", str(port)]),
            ("LitServe", litserve),
            ("BentoML", [*bento, "--port", str(port)]),
        ):
            yield Contender(name + suffix, command, workers, model, peers)
    seed, weights = str(yardstick / "seed_server.py"), scratch / "seed.h5"
    subprocess.run(
        [str(PEERS / "python"), seed, "make", str(weights)], check=True, capture_output=True
    )
    for call in ("predict", "direct"):
        command = [str(PEERS / "python"), seed, "serve", str(weights), str(port)]
        yield Contender(f"seed, {call}", command, 1, {"SEED_CALL": call})


def lite0(scratch: Path) -> Path:
    """EfficientNet-Lite0 as a file; written at the first call."""
    file = scratch / "lite0.tflite"
    if not file.exists():
        python = str(ROOT / "training/.venv/bin/python")
        path = os.pathsep.join([str(ROOT), str(ROOT / "layers/clickbait/python")])
        subprocess.run(
            [python, "-m", "loadtest.lite0", str(file)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": path},
            check=True,
            capture_output=True,
        )
    return file


def copy_peers(source: Path, target: Path) -> None:
    """Copy the peers, with the side of their input read from the model instead of 224 pixels."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    common = target / "common.py"
    text = common.read_text()
    for fixed, read in (
        ("(224, 224)", "(self.side, self.side)"),
        ("(336, 336)", "(self.side * 3 // 2, self.side * 3 // 2)"),
        (
            "        self.output = min",
            '        self.side = int(self.interpreter.get_input_details()[0]["shape"][1])\n'
            "        self.output = min",
        ),
    ):
        if fixed not in text:
            sys.exit(f"{source}/common.py has changed: it no longer contains {fixed!r}")
        text = text.replace(fixed, read)
    common.write_text(text)


@contextmanager
def running(contender: Contender, port: int) -> Iterator[psutil.Process]:
    """The contender's process after it has begun to listen; ends it with all its children."""
    path = {"PATH": f"{PEERS}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        contender.command,
        cwd=contender.folder,
        env=os.environ | path | contender.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    tree = psutil.Process(process.pid)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5)
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{contender.name} did not start") from None
                time.sleep(0.2)
        yield tree
    finally:
        children = tree.children(recursive=True)
        process.terminate()
        psutil.wait_procs([tree], timeout=10)
        for child in children:
            if child.is_running():
                child.kill()


def megabytes(tree: psutil.Process) -> float:
    """Memory of a process and its children, shared pages counted once (PSS)."""
    total = 0
    for process in [tree, *tree.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def cpu_seconds(tree: psutil.Process) -> float:
    """CPU time of a process and its children."""
    total = 0.0
    for process in [tree, *tree.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def load(
    tree: psutil.Process, port: int, image: Path, images: int, *, clients: int, seconds: int
) -> dict[str, float]:
    """wrk's figures, with `rps` in images per second, and the server's CPU and memory. It warms up
    for two seconds first."""
    path, field_name = ("predict", "file") if images == 1 else ("predict-batch", "files")
    for duration in (2, seconds):
        before = cpu_seconds(tree)
        done = subprocess.run(
            [
                *("wrk", "-t1", f"-c{clients}", f"-d{duration}s", "--timeout", "60s", "--latency"),
                *("-s", str(ROOT / "loadtest/multipart.lua"), f"http://127.0.0.1:{port}/{path}"),
            ],
            env=os.environ | {"IMAGE": str(image), "FIELD": field_name, "COUNT": str(images)},
            capture_output=True,
            text=True,
            check=True,
        )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    answered = images * figures["requests"] or math.nan  # None on a very busy machine.
    cpu = 1e3 * (cpu_seconds(tree) - before) / answered
    return figures | {"rps": images * figures["rps"], "cpu": cpu, "mb": megabytes(tree)}


def bare_loop(image: Path, seconds: int, workers: int) -> dict[str, float]:
    command = [sys.executable, str(ROOT / "loadtest/bare_loop.py")]
    arguments = [str(CHECKOUT_BASELINE / "model.tflite"), str(image), str(seconds), str(workers)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    rate, cpu = map(float, done.stdout.split())
    return {"rps": rate, "cpu": cpu}


def table(rows: Mapping[str, Sequence[Mapping[str, float]]], rounds: int) -> Iterator[str]:
    """A markdown table of medians over the rounds; ratios are computed within each round."""

    def median(name: str, key: str) -> float:
        return statistics.median(row[key] for row in rows[name])

    def ratio(name: str) -> float:
        ours, theirs = rows["this service"], rows[name]
        return statistics.median(
            ours[i]["rps"] / theirs[i]["rps"] if theirs[i]["rps"] else math.inf
            for i in range(rounds)
        )

    columns = ("images/s", "this service is", "CPU ms an image", "p50 ms", "p95 ms", "failed")
    yield "| | " + " | ".join(columns) + " | MB a worker |"
    yield "|---" * 8 + "|"
    for name, measured in rows.items():
        row = f"| {name} | {median(name, 'rps'):.1f} | {ratio(name):.2f} x "
        row += f"| {median(name, 'cpu'):.1f}"
        if "p95" not in measured[0]:
            yield f"{row} | | | | |"
            continue
        yield (
            f"{row} | {median(name, 'p50'):.0f} | {median(name, 'p95'):.0f} "
            f"| {sum(r['failed'] for r in measured):.0f} | {median(name, 'mb'):.0f} |"
        )


def waiting(rows: Mapping[str, Sequence[Mapping[str, float]]], clients: int) -> float:
    """p95 of this service, as a multiple of the time in which the bare loop serves each of
    `clients` once: the least that the average client waits."""
    pairs = zip(rows["this service"], rows["bare loop"], strict=True)
    return statistics.median(ours["p95"] / (1e3 * clients / bare["rps"]) for ours, bare in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, help="[a drawn 1280 x 720 JPEG]")
    parser.add_argument("--clients", type=int, default=8, help="concurrent clients [8]")
    parser.add_argument("--workers", type=int, default=2, help="workers of each server [2]")
    parser.add_argument("--seconds", type=int, default=8, help="duration of a measurement [8]")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each server [3]")
    parser.add_argument(
        "--yardstick", type=Path, default=ROOT.parent / "shared/bench", help="folder of the peers"
    )
    given = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is missing; on Debian: apt-get install wrk")
    scratch = ROOT / ".local/bench"
    scratch.mkdir(parents=True, exist_ok=True)
    image = given.image or scratch / "1280x720.jpg"
    if not given.image:
        image.write_bytes(encoded(grainy(picture((1280, 720), seed=3)), quality=85))
    print(f"{image.name}: {image.stat().st_size:,} bytes, {given.clients} clients, ", end="")
    print(f"{given.workers} workers, {os.cpu_count()} cores, {given.rounds} x {given.seconds} s")
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    (port,) = free_ports(1)
    everybody = list(contenders(given.yardstick, port, given.workers, scratch))
    for turn in range(given.rounds):
        rows["bare loop"].append(bare_loop(image, given.seconds, given.workers))
        for contender in everybody:
            with running(contender, port) as tree:
                figures = load(
                    tree,
                    port,
                    image,
                    contender.images,
                    clients=given.clients,
                    seconds=given.seconds,
                )
                figures["mb"] /= contender.workers
                rows[contender.name].append(figures)
            print(
                f"round {turn + 1}: {contender.name}: {rows[contender.name][-1]}", file=sys.stderr
            )
    print("\n".join(table(rows, given.rounds)))
    share = waiting(rows, given.clients)
    print(f"p95 of this service: {share:.2f} x {given.clients} / the bare loop's rate")


if __name__ == "__main__":
    main()
