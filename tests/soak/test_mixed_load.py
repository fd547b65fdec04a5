"""A day in an hour: predictions, odd files, batches, readers, and a promotion every 30 s.

`SOAK_MINUTES=10 make soak` takes ten minutes of it. Nothing is lost or counted twice, no answer
mixes two models, and memory, descriptors, threads and disk do not grow with time. One line of
figures is printed at the end.
"""

import json
import os
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
MOST_GROWTH = {"megabytes": 300, "descriptors": 200, "threads": 60}
"""Per hour, all processes together. A leak of a descriptor or 20 KB a request is ten times that."""
WARM_UP_MINUTES = 20
"""A shorter soak only measures: workers still start in it, and a line through it says nothing."""
SECOND = "20990101-000000-aaaaaa"


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("mixed"), MIN_NEW_IMAGES="100000") as stack:
        yield stack


@dataclass
class Sample:
    """The memory, descriptors, threads and disk of all processes of the stack at a moment."""

    seconds: float
    megabytes: float
    descriptors: int
    threads: int
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
        self.most_megabytes = 0.0

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
        if answer.status_code not in statuses:
            self.wrong.append(f"{answer.request.url}: {answer.status_code} {answer.text[:200]}")
        return answer

    def measure(self, _: httpx.Client, __: int) -> None:
        memory = descriptors = threads = 0
        for pid in self.stack.processes():
            try:
                status = dict(
                    line.split(":", 1)
                    for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                )
                descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
            except OSError:
                continue
            memory += int(status["VmRSS"].split()[0])
            threads += int(status["Threads"])
            peak = int(status["VmHWM"].split()[0]) / 1024
            self.most_megabytes = max(self.most_megabytes, peak)
        disk = sum(map(size, self.stack.state_dir.rglob("*"))) / 1e6
        seconds = time.monotonic() - self.start
        self.samples.append(Sample(seconds, memory / 1024, descriptors, threads, disk))

    def growth(self, name: str) -> float:
        """Per hour, by the line through the second half of the samples."""
        half = self.samples[len(self.samples) // 2 :]
        hours = [sample.seconds / 3600 for sample in half]
        return float(np.polyfit(hours, [getattr(sample, name) for sample in half], 1)[0])


def size(path: Path) -> int:
    """Bytes of a file; 0 if it is gone or a folder."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


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
        expected = client.post("/predict", content=sample).json()["probability"]

    def predict(client: httpx.Client, _: int) -> None:
        answer = soak.expect(client.post("/predict", content=sample), 200).json()
        if answer["model_version"] not in (first, SECOND):
            soak.wrong.append(f"an unknown version: {answer}")
        if answer["model_version"] == first and abs(answer["probability"] - expected) > 1e-6:
            soak.wrong.append(f"a mixed answer: {answer}")

    def predict_odd(client: httpx.Client, number: int) -> None:
        data, right = odd[number % len(odd)]
        soak.expect(client.post("/predict", content=data), *right)

    def read(client: httpx.Client, number: int) -> None:
        routes = ["/status", "/models", "/promotions", "/metrics", "/predictions", "/dataset"]
        soak.expect(client.get(routes[number % len(routes)]), 200)

    def promote(client: httpx.Client, number: int) -> None:
        version = (SECOND, first)[number % 2]
        body = {"reason": f"soak {number}", "force": True}
        soak.expect(client.post(f"/models/{version}/promote", json=body), 200)
        soak.promoted.append(f"soak {number}")

    def batch(client: httpx.Client, number: int) -> None:
        names = [f"{number}-{n}.jpg" for n in range(IN_A_BATCH)]
        created = soak.expect(client.post("/batches", json={"files": names}), 201).json()
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
    figures = {
        "minutes": MINUTES,
        "requests": soak.counts["requests"],
        "images_in_batches": len(soak.batches) * IN_A_BATCH,
        "promotions": len(soak.promoted),
        "wrong": len(soak.wrong),
        "lost": lost,
        "duplicated": duplicated,
        "most_megabytes_of_a_process": round(soak.most_megabytes),
        "growth_per_hour": {
            name: round(soak.growth(name), 1) for name in (*MOST_GROWTH, "disk_megabytes")
        },
        "free_disk_gigabytes": round(shutil.disk_usage(stack.state_dir).free / 1e9),
    }
    print(json.dumps(figures))
    assert soak.wrong == [], Counter(soak.wrong).most_common(10)
    assert (lost, duplicated, checked["status"]) == (0, 0, "ok"), figures
    for name, most in MOST_GROWTH.items() if MINUTES >= WARM_UP_MINUTES else ():
        assert soak.growth(name) < most, figures
