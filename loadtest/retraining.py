"""Measure a retraining on the local stack while a client sends predictions.

    make up                                        # in another terminal, with an empty STATE_DIR
    python loadtest/retraining.py --data IMAGES    # 400 images into train/, one by one
    python loadtest/retraining.py --data ../shared/data/owner --count 60 --taste saturation
    python loadtest/retraining.py --data ../shared/data/owner --count 60 --days 20 --a-day 10

Uploads images that the baseline was not trained on and follows the runs until they end. Prints the
result, the reason and the stages of each run, the number of failed predictions meanwhile, and the
time of the first prediction by the new version: after the first upload, and after the quiet period
that follows the last one. `--taste` labels the images by a rule of their appearance instead of
their folders, which gives an owner with a taste of their own. `--days` uploads more images
afterwards, day by day, and prints how well each version knows the shipped test images.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "layers/clickbait/python")]

from clickbait.inference import images as decoding  # noqa: E402
from clickbait.inference.appearance import APPEARANCE, appearance  # noqa: E402
from clickbait.store.runs import ENDED  # noqa: E402
from loadtest.stack import Stack  # noqa: E402
from training.gather import find  # noqa: E402
from training.sides import read_manifest  # noqa: E402

OTHER = {"clickbait_fake": "clickbait_real", "clickbait_real": "clickbait_fake"}
REQUESTS_PER_SECOND = 10
PATIENCE_SECONDS = 3600


@dataclass
class Client:
    """Sends predictions at a steady rate until `stop` is set, and records every response."""

    url: str
    images: list[bytes]
    stop: threading.Event = field(default_factory=threading.Event)
    responses: list[tuple[float, int, str]] = field(default_factory=list)
    """(time, status or 0, model_version) of each request."""

    def run(self) -> None:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=30) as http:
            due = time.monotonic()
            while not self.stop.is_set():
                self.responses.append(self._ask(http))
                due += 1 / REQUESTS_PER_SECOND
                self.stop.wait(max(0.0, due - time.monotonic()))

    def _ask(self, http: httpx.Client) -> tuple[float, int, str]:
        image = self.images[len(self.responses) % len(self.images)]
        try:
            response = http.post("/predict", content=image, headers={"content-type": "image/jpeg"})
            version = response.json().get("model_version", "") if response.is_success else ""
            if version and response.headers["x-model-version"] != version:
                return time.time(), 0, "mixed"
            return time.time(), response.status_code, version
        except httpx.HTTPError as error:
            return time.time(), 0, type(error).__name__


def choose(data: Path, manifest: Path, count: int) -> list[tuple[Path, str]]:
    """`count` labelled images of `data` that are not on the training side of `manifest`."""
    trained = {r.file for r in read_manifest(manifest) if r.side == "train"}
    found = [(data / file, label) for file, label in find(data) if file not in trained]
    random.Random(0).shuffle(found)
    return found[:count]


def by_taste(images: list[tuple[Path, str]], figure: str) -> list[tuple[Path, str]]:
    """The images labelled by their appearance: those above the median are clickbait."""
    pixels = (decoding.model_input(decoding.read(path.read_bytes())) for path, _ in images)
    values = [appearance(one)[figure] for one in pixels]
    middle = float(np.median(values))
    paths = [path for path, _ in images]
    return [
        (path, "clickbait_fake" if value > middle else "clickbait_real")
        for path, value in zip(paths, values, strict=True)
    ]


def follow(api: httpx.Client, known: set[str], wait: float) -> list[dict[str, Any]]:
    """All runs that are not in `known`, after they have ended and none has begun for `wait` s."""
    until = time.monotonic() + PATIENCE_SECONDS
    last = ""
    quiet_since = None
    while time.monotonic() < until:
        runs = [r for r in api.get("/runs").json()["items"] if r["id"] not in known]
        line = "  ".join(f"{r['id']} {r['state']} {r.get('epoch', '')}" for r in runs)
        if line != last:
            print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)
            last = line
        if runs and all(r["state"] in ENDED for r in runs):
            quiet_since = quiet_since or time.monotonic()
            if time.monotonic() - quiet_since > wait:
                return [api.get(f"/runs/{r['id']}").json() for r in reversed(runs)]
        else:
            quiet_since = None
        time.sleep(1)
    raise SystemExit("No run ended in an hour.")


def main() -> None:
    """Upload, follow, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled images")
    parser.add_argument("--count", type=int, default=400, help="images to upload [400]")
    parser.add_argument("--skip", type=int, default=0, help="skip this many images first [0]")
    parser.add_argument("--exam", type=int, default=0, help="put this many into exam/ first [0]")
    parser.add_argument("--taste", choices=APPEARANCE, help="label the images by this figure")
    parser.add_argument("--days", type=int, default=0, help="days of further uploads [0]")
    parser.add_argument("--a-day", type=int, default=10, help="images of each such day [10]")
    parser.add_argument("--quiet", type=float, default=60, help="QUIET_PERIOD of the stack [60]")
    parser.add_argument("--swap", action="store_true", help="swap the labels")
    parser.add_argument("--anyway", action="store_true", help="POST /retrain with skip_label_check")
    parser.add_argument(
        "--manifest",
        type=Path,
        default=ROOT / "training/baseline/manifest.csv",
        help="manifest of the baseline",
    )
    parser.add_argument("--state", type=Path, default=ROOT / ".local", help="STATE_DIR [.local]")
    options = parser.parse_args()
    stack = Stack(options.state)
    s3, api, bucket = stack.cloud("s3"), stack.api(), stack.outputs["DataBucket"]
    later = options.days * options.a_day
    needed = options.skip + options.count + options.exam + later
    chosen = choose(options.data, options.manifest, needed)
    if options.taste:
        chosen = by_taste(chosen, options.taste)
    days, chosen = chosen[len(chosen) - later :], chosen[: len(chosen) - later]
    images = chosen[options.skip : options.skip + options.count]
    for path, label in chosen[options.skip + options.count :]:
        s3.put_object(Bucket=bucket, Key=f"exam/{label}/{path.name}", Body=path.read_bytes())
    known = {r["id"] for r in api.get("/runs").json()["items"]}
    client = Client(stack.description["api_url"], [path.read_bytes() for path, _ in images[:50]])
    thread = threading.Thread(target=client.run)
    thread.start()
    try:
        began = time.time()
        upload(s3, bucket, images, swap=options.swap)
        quiet = time.time() + options.quiet
        print(f"{len(images)} images uploaded one by one in {time.time() - began:.1f} s")
        if options.anyway:
            api.post(
                "/retrain", json={"method": "fine_tuning", "skip_label_check": True}
            ).raise_for_status()
        wait = options.quiet + 15
        runs = follow(api, known, wait if not options.days else 1)
        for day in range(options.days):
            known |= {run["id"] for run in runs}
            some = days[day * options.a_day :][: options.a_day]
            upload(s3, bucket, some, swap=options.swap)
            # Ten images are fewer than the minimum; on AWS, the daily check counts them.
            invoke_daily(stack)
            newer = follow(api, known, 1)
            runs += newer
            for run in newer:
                print(f"day {day + 1}: {of_day(run)}", flush=True)
    finally:
        client.stop.set()
        thread.join()
    report(runs, client, began, quiet)


def upload(s3: Any, bucket: str, images: list[tuple[Path, str]], *, swap: bool) -> None:
    """Put the images into `train/`, one by one."""
    for path, label in images:
        folder = OTHER[label] if swap else label
        s3.put_object(Bucket=bucket, Key=f"train/{folder}/{path.name}", Body=path.read_bytes())


def invoke_daily(stack: Stack) -> None:
    """Send the event of the daily schedule, once the uploads are described."""
    queue = {"QueueUrl": stack.outputs["UploadsQueue"], "AttributeNames": ["All"]}
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = stack.cloud("sqs").get_queue_attributes(**queue)["Attributes"]
        if not any(int(found[name]) for name in names):
            break
        time.sleep(0.2)
    stack.cloud("lambda").invoke(
        FunctionName=stack.outputs["RetrainFunction"],
        Payload=json.dumps({"source": "schedule", "action": "daily"}),
    )


def of_day(run: dict[str, Any]) -> str:
    """The state of a run, and the AUC on the shipped test images before and after."""
    gate = run.get("gate") or {}
    world, own = gate.get("world") or {}, gate.get("own") or {}

    def aucs(figures: dict[str, Any]) -> str:
        found = (figures.get(name, {}).get("auc") for name in ("champion", "candidate"))
        return " -> ".join("?" if auc is None else f"{auc:.3f}" for auc in found)

    return f"{run['state']}, own AUC {aucs(own)}, shipped AUC {aucs(world)}, {run['seconds']}"


def report(runs: list[dict[str, Any]], client: Client, began: float, quiet: float) -> None:
    """Print the runs and the predictions."""
    for run in runs:
        print(f"\nrun {run['id']}: {run['state']}: {run['reason']}")
        for name in ("images", "seconds", "version", "warnings"):
            if run.get(name):
                print(f"  {name}: {run[name]}")
        for state, at in run["times"].items():
            print(f"  {state:<10} {at}")
    statuses = Counter(status for _, status, _ in client.responses)
    print(f"\n{len(client.responses)} predictions meanwhile, by status: {dict(statuses)}")
    seen: dict[str, float] = {}
    for at, _, version in client.responses:
        if version:
            seen.setdefault(version, at)
    for version, at in seen.items():
        print(
            f"  {version} first answered {at - began:.1f} s after the first upload, "
            f"{at - quiet:.1f} s after the quiet period"
        )


if __name__ == "__main__":
    main()
