"""Users of the service, for locust: each sends images that nobody has sent before.

`make loadtest` runs them; with locust's own page: locust -f loadtest/locustfile.py --host URL
RAMP, USERS and MINUTES set the shape, THINK the seconds between two requests of a user.
"""

import os
import random

import gevent
import numpy as np
from locust import FastHttpUser, LoadTestShape, between, task
from PIL import Image

from loadtest.profiles import RAMP_SECONDS, Profile
from tests.samples.drawn import encoded, picture

IMAGES = 8
GRAIN = 7.0
"""Standard deviation of noise that makes a drawing's file as large as a photograph's: 210 KB."""

MOST_PATIENCE = 10.0
"""Seconds that a refused user waits at most, whatever Retry-After says."""

BOUNDARY = b"----loadtest0123456789"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}


def thumbnails() -> list[bytes]:
    """JPEGs of 1280 x 720, as large as real ones."""
    noise = np.random.default_rng(0).normal(0, GRAIN, (720, 1280, 1))
    made = []
    for seed in range(IMAGES):
        grainy = np.clip(np.asarray(picture((1280, 720), seed)) + noise, 0, 255)
        made.append(encoded(Image.fromarray(grainy.astype(np.uint8)), quality=85))
    return made


def distinct(jpeg: bytes) -> bytes:
    """`jpeg` with a comment that no other has: the same picture in bytes that no cache knows."""
    comment = os.urandom(16)
    return b"%b\xff\xfe\x00\x12%b%b" % (jpeg[:2], comment, jpeg[2:])


def form(field: str, *files: bytes) -> bytes:
    """A form with `files`, each as a part named `field`."""
    head = (
        b"--%b\r\nContent-Disposition: form-data; name=%b; filename=a.jpg\r\n"
        b"Content-Type: image/jpeg\r\n\r\n" % (BOUNDARY, field.encode())
    )
    parts = [b"%b%b\r\n" % (head, file) for file in files]
    return b"".join(parts) + b"--%b--\r\n" % BOUNDARY


class Caller(FastHttpUser):
    """Somebody with a folder of thumbnails; waits before trying again where the service is full."""

    images = thumbnails()
    batches = True
    """False where the server has no /predict-batch (`make serve` of the predict function alone)."""

    think = float(os.environ.get("THINK", "1"))
    wait_time = between(0.5 * think, 1.5 * think)
    network_timeout = 60.0
    connection_timeout = 60.0

    @task(8)
    def predict(self) -> None:
        """An image that the cache has not seen."""
        self.send("predict", "/predict", form("file", distinct(random.choice(self.images))))

    @task(2)
    def repeat(self) -> None:
        """One of few images, again and again."""
        self.send("cached", "/predict", form("file", random.choice(self.images)))

    @task(1)
    def batch(self) -> None:
        """Ten images in one request."""
        if not self.batches:
            self.predict()
            return
        ten = [distinct(random.choice(self.images)) for _ in range(10)]
        self.send("batch of 10", "/predict-batch", form("files", *ten))

    @task(1)
    def status(self) -> None:
        """Whether it is ready."""
        self.send("status", "/status", None)

    def send(self, name: str, path: str, body: bytes | None) -> None:
        """Ask, and be patient where told to be."""
        method, headers = ("POST", FORM) if body is not None else ("GET", {})
        with self.client.request(
            method, path, name=name, data=body, headers=headers, catch_response=True
        ) as answer:
            patience = (answer.headers or {}).get("retry-after")
            refused = answer.status_code in (429, 503) and patience is not None
            if refused:
                answer.failure(f"refused, {answer.status_code}")
            elif answer.status_code == 404 and path == "/predict-batch":
                Caller.batches = False
                answer.success()
        if refused:
            gevent.sleep(min(float(patience), MOST_PATIENCE))


class Shape(LoadTestShape):
    """A profile; without one, that which the environment asks for."""

    def __init__(self, profile: Profile | None = None) -> None:
        super().__init__()
        self.profile = profile or Profile(
            users=int(os.environ.get("USERS", "10")),
            seconds=60 * float(os.environ.get("MINUTES", "3")),
            ramp=float(os.environ.get("RAMP", RAMP_SECONDS)),
        )

    def tick(self) -> tuple[int, float] | None:
        """Users at this moment, and how many may be started a second."""
        users = self.profile.users_at(self.get_run_time())
        return (users, max(1.0, float(users))) if users else None
