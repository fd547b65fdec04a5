"""5,000 files at once in `inbox/` and in `train/` of a local stack, and what it answers meanwhile.

Every file has its row or its description, no message is lost, and the API and the page answer
meanwhile; a very busy machine may refuse some requests, and give up rows of the history that it
counts.
`SOAK_FILES` takes fewer. Prints a line of figures for each folder.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.local_stack import ROOT, LocalStack
from tests.soak.test_many_files import drop
from tests.waiting import DEADLINE

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(2 * 3600)]

AT_ONCE = 8
"""Uploads at a time, as of `aws s3 cp --recursive`."""
PAUSE_SECONDS = 0.5
MOST_REFUSED = 0.05
"""The share of requests that may get TOO_SLOW."""
TOO_SLOW = {502, 503}
"""The statuses of a very busy machine: a function or its store took longer than its limit."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("dropped"), MIN_NEW_IMAGES="100000") as stack:
        yield stack


class Readers:
    """Ask the API and the page again and again, each in a thread of its own."""

    def __init__(self, stack: LocalStack, **questions: Callable[[httpx.Client], httpx.Response]):
        self._stack = stack
        self._stop = threading.Event()
        self.wrong: list[str] = []
        self.refused = 0
        self.seconds: dict[str, list[float]] = {name: [] for name in questions}
        self._threads = [
            threading.Thread(target=self._repeat, args=each) for each in questions.items()
        ]

    def __enter__(self) -> "Readers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, name: str, ask: Callable[[httpx.Client], httpx.Response]) -> None:
        with self._stack.admin() as client:
            while not self._stop.wait(PAUSE_SECONDS):
                began = time.monotonic()
                try:
                    answer = ask(client)
                except httpx.HTTPError as error:
                    self.wrong.append(f"{name}: {error!r}")
                    continue
                self.seconds[name].append(time.monotonic() - began)
                if answer.status_code in TOO_SLOW:
                    self.refused += 1
                elif answer.status_code != 200:
                    self.wrong.append(f"{name}: {answer.status_code} {answer.text[:200]}")

    def figures(self) -> dict[str, Any]:
        return {
            "answers": sum(map(len, self.seconds.values())),
            "refused": self.refused,
            "wrong": len(self.wrong),
            "median_seconds": {name: middle(each) for name, each in self.seconds.items()},
            "slowest_seconds": {name: round(max(each), 1) for name, each in self.seconds.items()},
        }


def middle(seconds: list[float]) -> float:
    return round(sorted(seconds)[len(seconds) // 2], 2)


def progressing(count: Callable[[], int], end: int) -> None:
    """Wait until `count` is `end`, as long as it grows within the deadline."""
    known, since = -1, time.monotonic()
    while known < end:
        if (now := count()) > known:
            known, since = now, time.monotonic()
        assert time.monotonic() - since < DEADLINE, f"{known} of {end} after {DEADLINE} s"
        time.sleep(PAUSE_SECONDS)


def most_megabytes(stack: LocalStack) -> int:
    """The most that any process of the stack has ever held."""
    peaks = []
    for pid in stack.processes():
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        peaks += [int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line]
    return round(max(peaks) / 1024)


def left(stack: LocalStack, *queues: str) -> int:
    """Messages that are still in the queues, waiting or under way."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    sqs, found = stack.cloud("sqs"), 0
    for queue in queues:
        url = stack.description()["outputs"][queue]
        found += sum(
            int(number)
            for number in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)[
                "Attributes"
            ].values()
        )
    return found


def pages(client: httpx.Client, path: str, **query: str) -> Iterator[dict[str, Any]]:
    while True:
        page = client.get(path, params={"limit": "100", **query}).raise_for_status().json()
        yield from page["items"]
        if not page["next"]:
            return
        query["cursor"] = page["next"]


def test_a_batch_of_5000_files_has_one_row_for_each(stack: LocalStack) -> None:
    began = time.monotonic()
    bucket = stack.description()["outputs"]["DataBucket"]
    with stack.admin() as client:
        files = drop(stack.cloud("s3"), bucket, "inbox/many", AT_ONCE)
        dropped = time.monotonic() - began
        with readers(stack, batch=lambda client: client.get("/batches/many")) as asked:
            progressing(lambda: done(client), len(files))
        seconds = time.monotonic() - began
        batch = client.get("/batches/many").raise_for_status().json()
        rows = [row["file"] for row in pages(client, "/batches/many/results")]
        recorded = sum(1 for _ in pages(client, "/predictions", batch="many"))
        counted = client.get("/metrics").raise_for_status().json()["totals"]["not_logged"]
    report(stack, "inbox", len(files), dropped, seconds, asked)
    print(json.dumps({"rows": len(rows), "in_the_history": recorded, "not_logged": counted}))
    assert Counter(rows) == Counter(key.rpartition("/")[2] for key in files)
    assert (batch["state"], batch["failed"]) == ("finished", list(files.values()).count(False))
    # A row may be given up while the store takes over two seconds, and is then counted. The count
    # has the lost rows of /predict too, so it may be higher.
    assert 0 <= batch["done"] - recorded <= counted
    assert left(stack, "InboxQueue", "InboxDeadLetters") == 0


def done(client: httpx.Client) -> int:
    """Rows of the batch, or -1 if the API is too busy."""
    answer = client.get("/batches/many")
    if answer.status_code in TOO_SLOW:
        return -1
    batch = answer.raise_for_status().json()
    return int(batch["done"] + batch["failed"])


def test_each_of_5000_labelled_files_is_described_or_rejected(stack: LocalStack) -> None:
    began = time.monotonic()
    bucket = stack.description()["outputs"]["DataBucket"]
    with stack.admin() as client:
        files = drop(stack.cloud("s3"), bucket, "train/clickbait_fake", AT_ONCE)
        dropped = time.monotonic() - began
        with readers(stack, dataset=lambda client: client.get("/dataset")) as asked:
            progressing(lambda: len(files) - left(stack, "UploadsQueue"), len(files))
        seconds = time.monotonic() - began
        described = client.get("/dataset").raise_for_status().json()
        keys = {image["key"] for image in pages(client, "/dataset/images")}
    report(stack, "train", len(files), dropped, seconds, asked)
    good = {key for key, usable in files.items() if usable}
    assert keys == good
    assert described["counts"]["clickbait_fake"] == len(good)
    assert described["rejected"]["images"] == len(files) - len(good)
    assert left(stack, "UploadsQueue", "UploadsDeadLetters") == 0


def readers(stack: LocalStack, **more: Callable[[httpx.Client], httpx.Response]) -> Readers:
    sample = (ROOT / "sample.jpg").read_bytes()
    return Readers(
        stack,
        predict=lambda client: client.post("/predict", content=sample),
        status=lambda client: client.get("/status"),
        page=lambda client: client.get(f"{stack.site_url}/"),
        **more,
    )


def report(
    stack: LocalStack, folder: str, files: int, dropped: float, seconds: float, asked: Readers
) -> None:
    figures = {
        "folder": folder,
        "files": files,
        "dropped_after_seconds": round(dropped),
        "done_after_seconds": round(seconds),
        "most_megabytes": most_megabytes(stack),
        **asked.figures(),
    }
    print(json.dumps(figures))
    assert asked.wrong == [], Counter(asked.wrong).most_common(10)
    assert figures["refused"] <= MOST_REFUSED * figures["answers"], figures
