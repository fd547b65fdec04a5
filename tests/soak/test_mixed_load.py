"""A day in an hour: predictions, odd files, batches, readers, and a promotion every 30 s.

`SOAK_MINUTES=10 make soak` takes ten minutes of it. Nothing is lost or counted twice, no answer
mixes two models, and the memory, descriptors and threads of no process grow with time. One line of
figures is printed at the end.

Growth is that of single processes in the last two thirds of the time, by the median of the slopes
between any two moments (Theil and Sen): workers start and load both models before, and one large
image is no growth. Memory is what a process has allocated (RssAnon), without shared libraries.
"""

import contextlib
import json
import os
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.local_stack import ROOT, LocalStack
from tests.samples import bombs, hostile, small
from tests.samples.drawn import encoded, picture
from tests.waiting import eventually

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(3 * 3600)]

MINUTES = float(os.environ.get("SOAK_MINUTES", "60"))
PROMOTION_SECONDS = 30
BATCH_SECONDS = 20
IN_A_BATCH = 10
MEASURE_SECONDS = 10
TOO_SLOW = {502, 503}
"""The statuses of a very busy machine: a function or its store took longer than its limit."""
MOST_REFUSED = 0.01
WARM_UP = 1 / 3
"""The share of the time that growth leaves out, after the start of a process."""
SHORTEST_MINUTES = 20
"""A shorter soak only measures: caches still fill in it."""
MOST_GROWTH = {"megabytes": 60, "descriptors": 20, "threads": 10}
"""Per hour and process. A worker has 3,000 requests an hour and more, so a leak of a descriptor or
of 20 KB each is above it."""
EMULATOR = "emulator"
MOST_OF_THE_EMULATOR = {"megabytes": 300, "descriptors": 60, "threads": 20}
"""The emulator keeps rows, metrics and log lines in memory by design, as AWS keeps them on disk."""
SECOND = "20990101-000000-aaaaaa"


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("mixed"), MIN_NEW_IMAGES="100000") as stack:
        yield stack


@dataclass(frozen=True)
class Usage:
    """Memory, descriptors and threads of one process."""

    megabytes: float
    descriptors: int
    threads: int


Process = tuple[str, int]
"""The kind of a process, such as Predict or `emulator`, and its id."""


@dataclass(frozen=True)
class Sample:
    """The processes of the stack, and the disk that its state takes, at a moment."""

    seconds: float
    usage: dict[Process, Usage]
    disk_megabytes: float


class Soak:
    """The load, and what came of it."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.start = time.monotonic()
        self.end = self.start + MINUTES * 60
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.promoted: list[str] = []
        self.batches: list[str] = []
        self.samples: list[Sample] = []
        self.most: dict[str, int] = {}

    def run(self, *steps: tuple[Callable[[httpx.Client, int], None], float]) -> None:
        """Repeat each step with its pause until the time is over."""
        threads = [threading.Thread(target=self._repeat, args=step) for step in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _repeat(self, step: Callable[[httpx.Client, int], None], pause: float) -> None:
        number = 0
        with self.stack.admin() as client:
            while time.monotonic() < self.end:
                try:
                    step(client, number)
                except Exception as error:
                    self.wrong.append(f"{step.__name__}: {error!r}")
                number += 1
                time.sleep(pause)

    def expect(self, answer: httpx.Response, *statuses: int) -> httpx.Response:
        self.counts["requests"] += 1
        if answer.status_code in TOO_SLOW:
            self.counts["refused"] += 1
        elif answer.status_code not in statuses:
            self.wrong.append(f"{answer.request.url}: {answer.status_code} {answer.text[:200]}")
        return answer

    def measure(self, _: httpx.Client, __: int) -> None:
        usage: dict[Process, Usage] = {}
        for pid in self.stack.processes():
            try:
                status = status_of(pid)
                kind = kind_of(pid)
                descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                copied = kind == EMULATOR and kind_of(int(status["PPid"])) == EMULATOR
                megabytes = int(status["RssAnon"].split()[0]) / 1024
            except (OSError, KeyError):  # It has ended.
                continue
            if copied:  # The copy that saves the state lives for less than a second.
                continue
            usage[kind, pid] = Usage(megabytes, descriptors, int(status["Threads"]))
            peak = int(status["VmHWM"].split()[0]) / 1024
            self.most[kind] = max(self.most.get(kind, 0), round(peak))
        disk = size(self.stack.state_dir) / 1e6
        self.samples.append(Sample(time.monotonic() - self.start, usage, disk))

    def growth(self) -> dict[str, dict[str, float]]:
        """Growth per hour of each kind of process: of the fastest one, for each field of Usage."""
        found: dict[str, dict[str, float]] = {}
        for process in sorted({process for sample in self.samples for process in sample.usage}):
            alive = [sample for sample in self.samples if process in sample.usage]
            warm = alive[0].seconds + WARM_UP * MINUTES * 60
            kept = [sample for sample in alive if sample.seconds > warm]
            if len(kept) < (1 - WARM_UP) / 2 * len(self.samples):  # Too short to say.
                continue
            hours = [sample.seconds / 3600 for sample in kept]
            kind = found.setdefault(process[0], {})
            for field in MOST_GROWTH:
                values = [getattr(sample.usage[process], field) for sample in kept]
                if field == "megabytes":
                    print(process, "megabytes:", [round(value) for value in values[::10]])
                kind[field] = max(kind.get(field, -np.inf), round(slope(hours, values), 1))
        return found

    def growth_of_disk(self) -> float:
        """Megabytes per hour, over the whole time."""
        hours = [sample.seconds / 3600 for sample in self.samples]
        return round(slope(hours, [sample.disk_megabytes for sample in self.samples]), 1)


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines)


def kind_of(pid: int) -> str:
    """The function that a worker runs, `emulator`, or `stack` for all else."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    if function := re.search(r"-(\w+)Function-\w+-\w+/_worker\.py", command):
        return function[1]
    return EMULATOR if "local/emulator.py" in command else "stack"


def slope(hours: list[float], values: list[float]) -> float:
    """The median of the slopes between all pairs of points; 0 if there are fewer than two."""
    first, second = np.triu_indices(len(hours), k=1)
    if not len(first):
        return 0.0
    x, y = np.array(hours), np.array(values)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))


def size(folder: Path) -> int:
    """The bytes of all files; those that vanish meanwhile do not count."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).lstat().st_size
    return total


def test_an_hour_of_mixed_load_loses_nothing_and_leaks_nothing(stack, tmp_path):
    soak, sample = Soak(stack), (ROOT / "sample.jpg").read_bytes()
    odd = [(data, right) for data, right in hostile.good_or_bad().values() if len(data) < 500_000]
    odd += [(data, {422}) for data in bombs.refused().values() if len(data) < 500_000]
    drawn = [encoded(picture(seed=seed)) for seed in range(IN_A_BATCH)]
    models = stack.description()["outputs"]["ModelsBucket"]
    for file in small.write(tmp_path / SECOND, SECOND).iterdir():
        stack.cloud("s3").put_object(
            Bucket=models, Key=f"versions/{SECOND}/{file.name}", Body=file.read_bytes()
        )
    with stack.client() as client:
        first = client.get("/status").json()["model_version"]
    expected: dict[str, float] = {}

    def predict(client: httpx.Client, _: int) -> None:
        response = soak.expect(client.post("/predict", content=sample), 200)
        if response.status_code != 200:
            return
        answer = response.json()
        version, probability = answer["model_version"], answer["probability"]
        if version not in (first, SECOND):
            soak.wrong.append(f"an unknown version: {answer}")
        if abs(probability - expected.setdefault(version, probability)) > 1e-6:
            soak.wrong.append(f"a mixed answer: {answer}")

    def predict_odd(client: httpx.Client, number: int) -> None:
        data, right = odd[number % len(odd)]
        soak.counts["odd_files"] += 1
        soak.expect(client.post("/predict", content=data), *right)

    def read(client: httpx.Client, number: int) -> None:
        routes = ["/status", "/models", "/promotions", "/metrics", "/predictions", "/dataset"]
        soak.expect(client.get(routes[number % len(routes)]), 200)

    def promote(client: httpx.Client, number: int) -> None:
        version = (SECOND, first)[number % 2]
        body = {"reason": f"soak {number}", "force": True}
        answer = soak.expect(client.post(f"/models/{version}/promote", json=body), 200)
        if answer.status_code == 200:
            soak.promoted.append(f"soak {number}")

    def batch(client: httpx.Client, number: int) -> None:
        names = [f"{number}-{n}.jpg" for n in range(IN_A_BATCH)]
        response = soak.expect(client.post("/batches", json={"files": names}), 201)
        if response.status_code != 201:
            return
        created = response.json()
        with httpx.Client(trust_env=False, timeout=60) as uploads:
            for form, data in zip(created["uploads"]["items"], drawn, strict=True):
                soak.expect(
                    uploads.post(form["url"], data=form["fields"], files={"file": data}), 201, 204
                )
        soak.expect(client.post(created["start"]), 200)
        soak.batches.append(created["id"])

    soak.run(
        (predict, 0.2),
        (predict_odd, 0.5),
        (read, 1.0),
        (promote, PROMOTION_SECONDS),
        (batch, BATCH_SECONDS),
        (soak.measure, MEASURE_SECONDS),
    )
    lost = duplicated = 0
    with stack.admin() as client:
        for name in soak.batches:
            ended = eventually(
                lambda name=name: (
                    (got := client.get(f"/batches/{name}").json())["state"] == "finished" and got
                )
            )
            lost += IN_A_BATCH - ended["done"]
            rows = client.get(f"/batches/{name}/results?limit=1000").json()["items"]
            duplicated += len(rows) - len({row["file"] for row in rows})
        recorded: list[str] = []
        cursor = ""
        while True:
            page = client.get(f"/promotions?limit=100{cursor}").json()
            recorded += [record["reason"] for record in page["items"]]
            if not page["next"]:
                break
            cursor = f"&cursor={page['next']}"
        checked = client.get("/system-check").json()
    duplicated += len(recorded) - len(set(recorded))
    lost += len(set(soak.promoted) - set(recorded))
    growth = soak.growth()
    figures = {
        "minutes": MINUTES,
        "requests": soak.counts["requests"],
        "odd_files": soak.counts["odd_files"],
        "images_in_batches": len(soak.batches) * IN_A_BATCH,
        "promotions": len(soak.promoted),
        "refused": soak.counts["refused"],
        "wrong": len(soak.wrong),
        "lost": lost,
        "duplicated": duplicated,
        "most_megabytes": soak.most,
        "growth_per_hour": growth,
        "disk_megabytes_per_hour": soak.growth_of_disk(),
        "free_disk_gigabytes": round(shutil.disk_usage(stack.state_dir).free / 1e9),
    }
    print(json.dumps(figures))
    print("\n".join(soak.wrong))
    assert soak.wrong == []
    assert soak.counts["refused"] <= MOST_REFUSED * soak.counts["requests"], figures
    assert (lost, duplicated, checked["status"]) == (0, 0, "ok"), figures
    for kind, grown in growth.items() if MINUTES >= SHORTEST_MINUTES else ():
        most = MOST_OF_THE_EMULATOR if kind == EMULATOR else MOST_GROWTH
        assert all(grown[field] < most[field] for field in most), (kind, figures)
