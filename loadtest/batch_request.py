"""Ten images in one request beside ten requests: python loadtest/batch_request.py [ROUNDS]

Starts `make serve`'s server with one worker and no cache, and asks it for the same ten drawn images
both ways in turn, over one kept connection. Prints the medians and their ratio.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import httpx

from tests.end_to_end.conftest import free_ports
from tests.samples.drawn import encoded, picture

SIZE = (1280, 720)
READY_SECONDS = 60


def main() -> None:
    """Start, ask, print, stop."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    images = [encoded(picture(SIZE, seed), quality=95) for seed in range(10)]
    (port,) = free_ports(1)
    environment = {**os.environ, "PORT": str(port), "WORKERS": "1", "CACHE_SIZE": "0"}
    environment |= {"ACCESS": "public"}
    server = subprocess.Popen([sys.executable, "-m", "local.serve"], env=environment)
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60
        ) as client:
            wait(client)
            one, ten = [], []
            for _ in range(rounds):
                one.append(timed(lambda: [single(client, image) for image in images]))
                ten.append(timed(lambda: batch(client, images)))
    finally:
        server.terminate()
        server.wait()
    ratio = statistics.median(b / a for a, b in zip(one, ten, strict=True))
    print(f"ten requests: {1e3 * statistics.median(one):.0f} ms")
    print(f"one request of ten: {1e3 * statistics.median(ten):.0f} ms")
    print(f"median ratio of {rounds} rounds: {ratio:.2f}")


def wait(client: httpx.Client) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            client.get("/status").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise SystemExit("the server did not start")


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def single(client: httpx.Client, image: bytes) -> None:
    client.post("/predict", files={"file": ("a.jpg", image, "image/jpeg")}).raise_for_status()


def batch(client: httpx.Client, images: list[bytes]) -> None:
    files = [("files", (f"{n}.jpg", image, "image/jpeg")) for n, image in enumerate(images)]
    answer = client.post("/predict-batch", files=files).raise_for_status().json()
    assert answer["totals"]["failed"] == 0


if __name__ == "__main__":
    main()
