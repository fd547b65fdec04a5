"""A folder of images through `inbox/` of the local stack, with a worker killed in the middle.

    make up                                      # in another terminal
    python loadtest/bulk.py --data IMAGES        # 1,000 images, 20 of them broken

Drops the images, kills -9 the worker that is at it when a third is done, waits for the batch's end
and holds the results against what was dropped: each file exactly once, by its name, the broken ones
as failed. Prints images/s, beside a bare loop over the same images on every core.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import httpx

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "layers/clickbait/python")]

from clickbait.inference import images  # noqa: E402
from clickbait.inference.classifier import Classifier  # noqa: E402
from clickbait.settings import CHECKOUT_BASELINE  # noqa: E402
from training.gather import find  # noqa: E402

PATIENCE_SECONDS = 1800


def workers(state: Path) -> list[int]:
    """Processes of the worker function of the stack in `state`."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            told = environ.read_bytes()
        except OSError:
            continue
        mine = str(state.resolve()).encode()
        if b"POWERTOOLS_SERVICE_NAME=worker\0" in told and mine in told:
            found.append(int(environ.parent.name))
    return found


def predict(paths: list[Path]) -> int:
    """A bare loop: read, decode, classify; nothing else."""
    model = Classifier.load(CHECKOUT_BASELINE)
    for path in paths:
        model.predict(images.model_input(images.read(path.read_bytes())))
    return len(paths)


def bare_loop(paths: list[Path]) -> float:
    """Images/s of it on every core, processes started beforehand."""
    cores = len(os.sched_getaffinity(0))
    parts = [paths[i::cores] for i in range(cores)]
    with ProcessPoolExecutor(cores) as pool:
        list(pool.map(predict, [part[:1] for part in parts]))
        began = time.monotonic()
        done = sum(pool.map(predict, parts))
        return done / (time.monotonic() - began)


def main() -> None:
    """Drop, kill, wait, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--broken", type=int, default=20)
    parser.add_argument("--spare", action="store_true", help="kill no worker")
    parser.add_argument("--visibility", type=int, help="seconds until a killed worker's messages "
                        "come again; the template's are 360, as Lambda asks")  # fmt: skip
    parser.add_argument("--state", type=Path, default=ROOT / ".local")
    options = parser.parse_args()
    stack = json.loads((options.state / "stack.json").read_text())
    token = (options.state / "admin-token").read_text().strip()
    clients: dict[str, Any] = {
        service: boto3.client(
            service,
            endpoint_url=stack["cloud_url"],
            region_name=stack["region"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        for service in ("s3", "sqs")
    }
    if options.visibility:
        clients["sqs"].set_queue_attributes(
            QueueUrl=stack["outputs"]["InboxQueue"],
            Attributes={"VisibilityTimeout": str(options.visibility)},
        )
    api = httpx.Client(
        base_url=stack["api_url"],
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=60,
    )
    batch = f"bulk-{int(time.time())}"
    paths = [options.data / file for file, _ in find(options.data)]
    random.Random(0).shuffle(paths)
    paths = paths[: options.count - options.broken]
    dropped = {path.name: path.read_bytes() for path in paths}
    dropped |= {
        f"broken {n}.jpg": paths[n].read_bytes()[: 100 + 50 * n] for n in range(options.broken)
    }

    def drop(name: str) -> None:
        clients["s3"].put_object(
            Bucket=stack["outputs"]["DataBucket"], Key=f"inbox/{batch}/{name}", Body=dropped[name]
        )

    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        drops = [pool.submit(drop, name) for name in dropped]
        told = follow(api, batch, options, began)
        for one in drops:
            one.result()
    seconds = time.monotonic() - began
    compare(api, batch, dropped)
    loop = bare_loop(paths)
    rate = len(dropped) / seconds
    print(f"all after {seconds:.1f} s: {rate:.1f} images/s")
    print(f"bare loop: {loop:.1f} images/s; the share of it: {rate / loop:.2f}")
    for share, at in told.items():
        done = len(dropped) * share / at
        print(f"  {share:.0%} after {at:.1f} s: {done:.1f} images/s, {done / loop:.2f} of it")


def follow(
    api: httpx.Client, batch: str, options: argparse.Namespace, began: float
) -> dict[float, float]:
    """Wait for the end, kill a worker on the way; seconds at which a share was done."""
    marks: dict[float, float] = {}
    killed = options.spare
    while time.monotonic() - began < PATIENCE_SECONDS:
        answer = api.get(f"/batches/{batch}")
        now = time.monotonic() - began
        if answer.status_code == httpx.codes.NOT_FOUND:
            time.sleep(0.2)
            continue
        told = answer.raise_for_status().json()
        share = (told["done"] + told["failed"]) / options.count
        for mark in (0.25, 0.5, 0.9, 0.95):
            if share >= mark:
                marks.setdefault(mark, now)
        if not killed and share > 1 / 3:
            pids = workers(options.state)
            if pids:
                os.kill(pids[0], signal.SIGKILL)
                print(f"killed worker {pids[0]} of {len(pids)} at {share:.0%}", flush=True)
                killed = True
        if share >= 1 and told["finished"]:
            print({k: told[k] for k in ("state", "expected", "done", "failed")})
            return marks
        time.sleep(1)
    raise SystemExit(f"not done in {PATIENCE_SECONDS} s: {told}")


def compare(api: httpx.Client, batch: str, dropped: dict[str, bytes]) -> None:
    """Hold the results against what was dropped; exits where they differ."""
    rows, cursor = [], None
    while True:
        asked = {"format": "json", "limit": 1000} | ({"cursor": cursor} if cursor else {})
        page = api.get(f"/batches/{batch}/results", params=asked).raise_for_status().json()
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
