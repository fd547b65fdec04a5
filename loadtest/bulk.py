"""Measure a batch in `inbox/` of the local stack, with a worker killed in the middle.

    make up                                      # in another terminal
    python loadtest/bulk.py --data IMAGES        # 1,000 images, 20 of them broken

Drops the images, kills a worker (-9) after a third of them, waits for the end of the batch and
checks the results: each file exactly once, by its name, with the broken ones as failed. Prints the
images per second and the CPU of each process for one image, also those of a bare loop over the same
images on all cores.
"""

import argparse
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "layers/clickbait/python")]

from clickbait.inference import images  # noqa: E402
from clickbait.inference.classifier import Classifier  # noqa: E402
from clickbait.settings import CHECKOUT_BASELINE  # noqa: E402
from loadtest.stack import Stack  # noqa: E402
from training.gather import find  # noqa: E402

PATIENCE_SECONDS = 1800


def workers(state: Path) -> list[int]:
    """The ids of the processes that run the worker function of the stack in `state`."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = environ.read_bytes()
        except OSError:
            continue
        folder = str(state.resolve()).encode()
        if b"POWERTOOLS_SERVICE_NAME=worker\0" in variables and folder in variables:
            found.append(int(environ.parent.name))
    return found


def cpu(state: Path) -> Counter[str]:
    """Seconds of CPU that each kind of process of the stack in `state` has used, and this script.

    The emulator's include those of the copies that saved its state.
    """
    folder = str(state.resolve())
    used: Counter[str] = Counter({"this script": sum(os.times()[:2])})
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_text(errors="replace")
            numbers = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if folder not in variables or process.name == str(os.getpid()):
            continue
        service = re.search(r"POWERTOOLS_SERVICE_NAME=(\w+)", variables)
        if service:
            kind, times = f"function {service[1]}", numbers[11:13]
        elif "GATEWAY_PORT=" in variables:
            kind, times = "emulator", numbers[11:15]
        else:
            kind, times = "gateway and the rest", numbers[11:13]
        used[kind] += sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return used


def predict(paths: list[Path]) -> float:
    """Read, decode and classify images, and nothing else; returns the seconds of CPU."""
    model = Classifier.load(CHECKOUT_BASELINE)
    began = time.process_time()
    for path in paths:
        model.predict(images.model_input(images.read(path.read_bytes()), model.size))
    return time.process_time() - began


def bare_loop(paths: list[Path]) -> tuple[float, float]:
    """Images per second of `predict` on all cores, in processes that already run, and seconds of
    CPU for each."""
    cores = len(os.sched_getaffinity(0))
    parts = [paths[i::cores] for i in range(cores)]
    with ProcessPoolExecutor(cores) as pool:
        list(pool.map(predict, [part[:1] for part in parts]))
        began = time.monotonic()
        used = sum(pool.map(predict, parts))
        return len(paths) / (time.monotonic() - began), used / len(paths)


def main() -> None:
    """Drop, kill, wait, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of images")
    parser.add_argument("--count", type=int, default=1000, help="images in all [1000]")
    parser.add_argument("--broken", type=int, default=20, help="broken images among them [20]")
    parser.add_argument("--spare", action="store_true", help="kill no worker")
    parser.add_argument("--visibility", type=int, help="visibility timeout in seconds [360]")
    parser.add_argument("--state", type=Path, default=ROOT / ".local", help="STATE_DIR [.local]")
    options = parser.parse_args()
    stack = Stack(options.state)
    s3, api = stack.cloud("s3"), stack.api()
    if options.visibility:
        stack.cloud("sqs").set_queue_attributes(
            QueueUrl=stack.outputs["InboxQueue"],
            Attributes={"VisibilityTimeout": str(options.visibility)},
        )
    batch = f"bulk-{int(time.time())}"
    try:
        paths = [options.data / file for file, _ in find(options.data)]
    except ValueError as error:
        parser.error(str(error))
    random.Random(0).shuffle(paths)
    paths = paths[: options.count - options.broken]
    dropped = {path.name: path.read_bytes() for path in paths}
    dropped |= {
        f"broken {n}.jpg": paths[n].read_bytes()[: 100 + 50 * n] for n in range(options.broken)
    }

    def drop(name: str) -> None:
        s3.put_object(
            Bucket=stack.outputs["DataBucket"], Key=f"inbox/{batch}/{name}", Body=dropped[name]
        )

    before, began = cpu(options.state), time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        drops = [pool.submit(drop, name) for name in dropped]
        marks = follow(api, batch, options, began)
        for one in drops:
            one.result()
    seconds = time.monotonic() - began
    used = cpu(options.state) - before
    compare(api, batch, dropped)
    loop, alone = bare_loop(paths)
    rate = len(dropped) / seconds
    print(f"finished after {seconds:.1f} s: {rate:.1f} images/s")
    print(f"bare loop: {loop:.1f} images/s; ratio: {rate / loop:.2f}")
    for share, at in marks.items():
        done = len(dropped) * share / at
        print(f"  {share:.0%} after {at:.1f} s: {done:.1f} images/s, ratio {done / loop:.2f}")
    share = alone * len(dropped) / used.total()
    print(f"CPU ms an image; bare loop {1e3 * alone:.1f}, ratio {share:.2f}")
    for kind, of_kind in used.most_common():
        print(f"  {1e3 * of_kind / len(dropped):5.1f} {kind}")


def follow(
    api: httpx.Client, batch: str, options: argparse.Namespace, began: float
) -> dict[float, float]:
    """Wait for the end and kill a worker on the way; the seconds until each share was done."""
    marks: dict[float, float] = {}
    killed = options.spare
    while time.monotonic() - began < PATIENCE_SECONDS:
        response = api.get(f"/batches/{batch}")
        now = time.monotonic() - began
        if response.status_code == httpx.codes.NOT_FOUND:
            time.sleep(0.2)
            continue
        body = response.raise_for_status().json()
        share = (body["done"] + body["failed"]) / options.count
        for mark in (0.25, 0.5, 0.9, 0.95):
            if share >= mark:
                marks.setdefault(mark, now)
        if not killed and share > 1 / 3:
            pids = workers(options.state)
            if pids:
                os.kill(pids[0], signal.SIGKILL)
                print(f"killed worker {pids[0]} of {len(pids)} at {share:.0%}", flush=True)
                killed = True
        if share >= 1 and body["finished"]:
            print({k: body[k] for k in ("state", "expected", "done", "failed")})
            return marks
        time.sleep(1)
    raise SystemExit(f"not done in {PATIENCE_SECONDS} s: {body}")


def compare(api: httpx.Client, batch: str, dropped: dict[str, bytes]) -> None:
    """Compare the results with the dropped files; exit if they differ."""
    rows, cursor = [], None
    while True:
        query = {"format": "json", "limit": 1000} | ({"cursor": cursor} if cursor else {})
        page = api.get(f"/batches/{batch}/results", params=query).raise_for_status().json()
        rows += page["items"]
        cursor = page["next"]
        if not cursor:
            break
    times = Counter(row["file"] for row in rows)
    failed = {row["file"] for row in rows if row["error"]}
    expected = {name for name in dropped if name.startswith("broken")}
    if set(times) != set(dropped) or set(times.values()) != {1} or failed != expected:
        raise SystemExit(
            f"the results differ: {len(times)} names, at most {max(times.values())} times, "
            f"{len(failed)} failed instead of {len(expected)}"
        )
    print(f"{len(rows)} results, each file exactly once, {len(failed)} failed: the broken ones")


if __name__ == "__main__":
    main()
