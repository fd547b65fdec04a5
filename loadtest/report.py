"""Load the service and report how it performed: python loadtest/report.py --users 100 --minutes 3

Without --host the script starts `make serve` on this machine for each number of workers and records
its CPU time and memory. With --host it loads only that address, which must be yours. It writes a
table, a plot and all samples to --out.
"""

# locust patches the standard library, so it must be imported first.
from locust import events  # isort: skip
from locust.env import Environment  # isort: skip

import argparse
import csv
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlparse

import gevent
import matplotlib as mpl
import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from loadtest import profiles  # noqa: E402
from loadtest.locustfile import FORM, Caller, Shape, distinct, form  # noqa: E402
from loadtest.profiles import Profile, Sample, Summary, summary  # noqa: E402

START_SECONDS = 90
BASELINE = 20
"""Number of sequential requests before the load; their median is the normal latency."""

PROBE_SECONDS = 0.2
RECOVERY_SECONDS = 60
"""Maximum time to wait for normal latency after the load."""

WATCH_SECONDS = 1.0

HEAD = "| run | phase | requests/s | mean ms | p50 | p95 | p99 | refused | refused p95 | failed |"
RULE = "|---|---|---|---|---|---|---|---|---|---|"


@dataclass
class Run:
    """One load on one server, with everything that was measured."""

    name: str
    profile: Profile
    ready_seconds: float | None = None
    first_ms: float = math.nan
    normal_ms: float = math.nan
    samples: list[Sample] = field(default_factory=list)
    probes: list[Sample] = field(default_factory=list)
    processor: list[tuple[float, float]] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    users: list[tuple[float, int]] = field(default_factory=list)
    ended: float = 0.0
    crashed: bool = False

    def phases(self) -> Iterator[tuple[str, Summary]]:
        """The ramp, which begins on a new server, and the phase with all users."""
        ramp, end = self.profile.ramp, self.ended
        if ramp:
            first = [s for s in self.samples if s.at < ramp]
            yield "from zero, ramp", summary(first, ramp)
        if end > ramp:
            yield "warm, all users", summary([s for s in self.samples if s.at >= ramp], end - ramp)

    def recovery(self) -> float | None:
        """Seconds from the end of the load to normal latency."""
        return profiles.recovery(self.ended, self.probes, self.normal_ms)


@contextmanager
def behind_proxy(servers: int) -> Iterator[tuple[str, list[psutil.Process], float]]:
    """Run `servers` as containers/compose.yaml does: one worker each, nginx before them."""
    if not shutil.which("nginx"):
        sys.exit("BEHIND needs nginx; on Debian: apt-get install nginx-light")
    with ExitStack() as stack, TemporaryDirectory() as folder:
        started = time.monotonic()
        running = [stack.enter_context(serving(1)) for _ in range(servers)]
        port = free_port()
        config = (ROOT / "containers/nginx.conf").read_text()
        config = re.sub(r" *server app\d.*\n", "", config).replace("/tmp/", f"{folder}/")
        config = config.replace("listen 8080", f"listen 127.0.0.1:{port}")
        lines = [f"server {url.removeprefix('http://')};" for url, _, _ in running]
        config = config.replace("least_conn;", f"least_conn; {' '.join(lines)}")
        file = Path(folder) / "nginx.conf"
        file.write_text(config)
        # Workers of root's nginx are another user, who could not write bodies into the folder.
        options = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
        proxy = subprocess.Popen(
            ["nginx", "-c", str(file), "-e", "stderr", "-g", options],
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(port, proxy, started)
            trees = [tree for _, of, _ in running for tree in of]
            yield f"http://127.0.0.1:{port}", [*trees, psutil.Process(proxy.pid)], started
        finally:
            proxy.terminate()
            proxy.wait(30)


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def wait_for(port: int, process: "subprocess.Popen[bytes]", started: float) -> None:
    """Wait until `process` listens on `port`; exits if it ends, or takes too long."""
    while True:
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() - started > START_SECONDS:
            sys.exit("the server did not start; `make serve` says why")
        time.sleep(0.05)


@contextmanager
def serving(workers: int) -> Iterator[tuple[str, list[psutil.Process], float]]:
    """Run `make serve` on a free port; yields its address, its process and its start time."""
    port, started = free_port(), time.monotonic()
    library = f"{ROOT}{os.pathsep}{ROOT / 'layers/clickbait/python'}"
    process = subprocess.Popen(
        [str(ROOT / ".venv/bin/python"), "-m", "local.serve"],
        cwd=ROOT,
        env=os.environ
        | {"HOST": "127.0.0.1", "PORT": str(port), "WORKERS": str(workers)}
        | {"PYTHONPATH": library},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, process, started)
        yield f"http://127.0.0.1:{port}", [psutil.Process(process.pid)], started
    finally:
        process.terminate()
        process.wait(30)


def load(run: Run, host: str, trees: Sequence[psutil.Process], started: float | None) -> None:
    """Send requests one by one, then with all users, then one by one until latency is normal."""
    Caller.host = host
    environment = Environment(user_classes=[Caller], shape_class=Shape(run.profile), events=events)
    runner = environment.create_local_runner()
    prober = Caller(environment)
    run.first_ms = probe(prober, 0).ms
    if started is not None:
        run.ready_seconds = time.monotonic() - started
    before = sorted(probe(prober, 0).ms for _ in range(BASELINE))
    run.normal_ms = profiles.percentile(before, 50)
    began = time.monotonic()

    def listen(name: str, response_time: float, exception: Any, **_: Any) -> None:
        refused = exception is not None and "refused, " in str(exception)
        sample = Sample(
            time.monotonic() - began, name, response_time, refused, bool(exception) and not refused
        )
        run.samples.append(sample)
        if len(run.samples) >= profiles.MAX_REQUESTS:
            runner.quit()

    events.request.add_listener(listen)
    watcher = gevent.spawn(watch, run, trees, runner, began)
    runner.start_shape()
    runner.shape_greenlet.join()
    run.ended = time.monotonic() - began
    runner.quit()
    events.request.remove_listener(listen)
    while time.monotonic() - began - run.ended < RECOVERY_SECONDS and run.recovery() is None:
        run.probes.append(probe(prober, began))
        gevent.sleep(PROBE_SECONDS)
    watcher.kill()
    run.crashed = not all(tree.is_running() for tree in trees)


def probe(user: Caller, began: float) -> Sample:
    """Send one image outside of locust's statistics."""
    body = form("file", distinct(user.images[0]))
    started = time.monotonic()
    with user.client.request(
        "POST", "/predict", name="probe", data=body, headers=FORM, catch_response=True
    ) as answer:
        status = answer.status_code
        answer.success()
    now = time.monotonic()
    refused = status in (429, 503)
    return Sample(
        now - began, "probe", 1e3 * (now - started), refused, not refused and status != 200
    )


def watch(run: Run, trees: Sequence[psutil.Process], runner: Any, began: float) -> None:
    """Record the server's CPU seconds and memory (PSS: shared pages count once) every second."""
    while True:
        now = time.monotonic() - began
        run.users.append((now, runner.user_count))
        if trees:
            used, memory = 0.0, 0
            try:
                families = ((tree, *tree.children(recursive=True)) for tree in trees)
                for process in chain.from_iterable(families):
                    used += sum(process.cpu_times()[:2])
                    memory += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                gevent.sleep(WATCH_SECONDS)
                continue
            run.processor.append((now, used))
            run.memory.append((now, memory / 1e6))
        gevent.sleep(WATCH_SECONDS)


def table(runs: Sequence[Run]) -> list[str]:
    """The results as Markdown."""
    lines = [HEAD, RULE]
    for run in runs:
        for phase, result in run.phases():
            lines.append(
                f"| {run.name} | {phase} | {result.per_second:.1f} | {result.mean:.0f} "
                f"| {result.p50:.0f} | {result.p95:.0f} | {result.p99:.0f} | {result.refused} "
                f"| {result.refused_p95:.0f} | {result.failed} |"
            )
    lines += [
        "",
        "| run | ready after s | first ms | normal ms | recovered after s | peak MB | cores busy |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        recovered = run.recovery()
        cores = [c for at, c in profiles.busy(run.processor) if run.profile.ramp <= at < run.ended]
        lines.append(
            f"| {run.name}{' CRASHED' if run.crashed else ''} | {_or_none(run.ready_seconds)} "
            f"| {run.first_ms:.0f} | {run.normal_ms:.0f} | {_or_none(recovered)} "
            f"| {max((mb for _, mb in run.memory), default=math.nan):.0f} "
            f"| {sum(cores) / len(cores) if cores else math.nan:.2f} |"
        )
    return lines


def rows(runs: Sequence[Run]) -> list[str]:
    """The phase with all users as Markdown, one row a run, as in README.md."""
    lines = [
        "| users | requests/s | p50 ms | p95 ms | refused with 503 | p95 of a refusal | failed "
        "| normal again after | peak MB |",
        RULE.removesuffix("---|"),
    ]
    for run in runs:
        _, result = list(run.phases())[-1]
        refusal = f"{result.refused_p95:.0f} ms" if result.refused else "-"
        seconds = run.recovery()
        recovered = "never" if seconds is None else f"{seconds:.1f} s"
        lines.append(
            f"| {run.name} | {result.per_second:.1f} | {result.p50:.0f} | {result.p95:.0f} "
            f"| {result.refused} | {refusal} | {result.failed} | {recovered} "
            f"| {max((mb for _, mb in run.memory), default=math.nan):.0f} |"
        )
    return [*lines, ""]


def by_task(runs: Sequence[Run]) -> list[str]:
    """The results of the warm phase by task, as Markdown."""
    lines = [
        "",
        "| run | task | requests | mean ms | p50 | p95 | p99 |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        warm = [s for s in run.samples if s.at >= run.profile.ramp]
        for name in sorted({s.name for s in warm}):
            result = summary([s for s in warm if s.name == name], max(run.ended, 1.0))
            lines.append(
                f"| {run.name} | {name} | {result.requests} | {result.mean:.0f} | {result.p50:.0f} "
                f"| {result.p95:.0f} | {result.p99:.0f} |"
            )
    return lines


def _or_none(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f}"


def plot(runs: Sequence[Run], file: Path) -> None:
    """Plot rate, latency, CPU and memory over time, one column per run."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        4, len(runs), figsize=(6 * len(runs), 11), sharex="col", squeeze=False
    )
    for column, run in zip(axes.T, runs, strict=True):
        rate, latency, processor, memory = column
        seconds = profiles.by_second(run.samples)
        times = [at for at, _ in seconds]
        kinds = {
            "answered": lambda s: not (s.refused or s.failed),
            "refused": lambda s: s.refused,
            "failed": lambda s: s.failed,
        }
        for name, of_kind in kinds.items():
            rate.plot(times, [sum(map(of_kind, some)) for _, some in seconds], label=name)
        users = rate.twinx()
        users.plot(*zip(*run.users, strict=True), "k:", label="users")
        users.set_ylabel("users")
        rate.set(title=run.name, ylabel="requests/s")
        rate.legend(loc="upper left")
        for share in (50, 95, 99):
            values = [
                profiles.percentile(sorted(s.ms for s in some if kinds["answered"](s)), share)
                for _, some in seconds
            ]
            latency.plot(times, values, label=f"p{share}")
        latency.plot(
            [p.at for p in run.probes], [p.ms for p in run.probes], ".", label="after the load"
        )
        latency.set(ylabel="ms", yscale="log")
        latency.legend(loc="upper left")
        if run.processor:
            processor.plot(*zip(*profiles.busy(run.processor), strict=True))
            memory.plot(*zip(*run.memory, strict=True))
        processor.set(ylabel="cores busy", ylim=(0, None))
        memory.set(ylabel="MB (PSS)", xlabel="seconds", ylim=(0, None))
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def keep(runs: Sequence[Run], folder: Path) -> None:
    """Write the table, the plot and all samples."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text("\n".join([*rows(runs), *table(runs), *by_task(runs)]) + "\n")
    plot(runs, folder / "plot.png")
    with (folder / "samples.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(("run", "at", "name", "ms", "refused", "failed"))
        for run in runs:
            write.writerows(
                (run.name, f"{s.at:.3f}", s.name, f"{s.ms:.1f}", int(s.refused), int(s.failed))
                for s in (*run.samples, *run.probes)
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--users", type=int, nargs="+", default=[100], help="users of each run [100]"
    )
    parser.add_argument(
        "--minutes", type=float, default=3.0, help="minutes of a run, with its ramp [3]"
    )
    parser.add_argument(
        "--ramp", type=float, default=profiles.RAMP_SECONDS, help="seconds of the ramp [120]"
    )
    parser.add_argument("--host", default="", help="address of your service [a new local server]")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2], help="workers of each run [1 2]"
    )
    parser.add_argument(
        "--behind",
        type=int,
        nargs="*",
        default=[],
        help="servers of one worker behind nginx, as in containers/compose.yaml [none]",
    )
    parser.add_argument("--out", type=Path, default=ROOT / ".local/loadtest", help="folder")
    given = parser.parse_args()
    try:
        wanted = [Profile(users, 60 * given.minutes, given.ramp) for users in given.users]
    except ValueError as error:
        sys.exit(str(error))
    if given.host and not (urlparse(given.host).scheme and urlparse(given.host).netloc):
        sys.exit(f"HOST={given.host!r} is not an address such as https://api.example.org")
    runs = []
    for profile in wanted:
        if given.host:
            run = Run(f"{profile.users} users", profile)
            load(run, given.host.rstrip("/"), [], None)
            runs.append(run)
            continue
        starts = [(f"{n} worker{'s' * (n > 1)}", serving(n)) for n in given.workers]
        starts += [(f"{n} behind a proxy", behind_proxy(n)) for n in given.behind]
        for name, start in starts:
            run = Run(f"{profile.users} users, {name}", profile)
            with start as (host, trees, started):
                load(run, host, trees, started)
            runs.append(run)
            print(*table([run])[2:], sep="\n", file=sys.stderr)
    print(f"{given.host or 'make serve'}, {os.cpu_count()} cores shared with the users; ", end="")
    print(f"{Caller.think:g} s between two requests of a user on average")
    print("/predict-batch: " + ("included" if Caller.batches else "not available here"))
    print(*rows(runs), *table(runs), *by_task(runs), sep="\n")
    keep(runs, given.out)
    print(f"plot and samples: {given.out}")


if __name__ == "__main__":
    main()
