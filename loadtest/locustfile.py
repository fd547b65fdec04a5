"""Users of the service, for locust: each sends images with new bytes.

`make loadtest` runs them. To use locust's own page: locust -f loadtest/locustfile.py --host URL
RAMP, USERS and MINUTES set the shape; THINK sets the seconds between two requests of a user.
"""

import os
import random

import gevent
from locust import FastHttpUser, LoadTestShape, between, task

from loadtest.profiles import RAMP_SECONDS, Profile
from tests.samples.drawn import encoded, grainy, picture

IMAGES = 8
MAX_PATIENCE = 10.0
"""Maximum seconds that a refused user waits, whatever Retry-After says."""

BOUNDARY = b"----loadtest0123456789"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}


def thumbnails() -> list[bytes]:
    """JPEGs of 1280 x 720, as large as real thumbnails."""
    return [encoded(grainy(picture((1280, 720), seed)), quality=85) for seed in range(IMAGES)]


def distinct(jpeg: bytes) -> bytes:
    """`jpeg` with a random comment: the same picture in bytes that no cache has."""
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
    """A user with a folder of thumbnails, who waits before a retry if the service is full."""

    images = thumbnails()
    batches = True
    """False if the server has no /predict-batch."""

    think = float(os.environ.get("THINK", "1"))
    wait_time = between(0.5 * think, 1.5 * think)
    network_timeout = 60.0
    connection_timeout = 60.0

    @task(8)
    def predict(self) -> None:
        """Send an image that is not in the cache."""
        self.send("predict", "/predict", form("file", distinct(random.choice(self.images))))

    @task(2)
    def repeat(self) -> None:
        """Send one of a few images again."""
        self.send("cached", "/predict", form("file", random.choice(self.images)))

    @task(1)
    def batch(self) -> None:
        """Send ten images in one request."""
        if not self.batches:
            self.predict()
            return
        ten = [distinct(random.choice(self.images)) for _ in range(10)]
        self.send("batch of 10", "/predict-batch", form("files", *ten))

    @task(1)
    def status(self) -> None:
        """Ask for the status."""
        self.send("status", "/status", None)

    def send(self, name: str, path: str, body: bytes | None) -> None:
        """Send a request, and wait as long as Retry-After says."""
        method, headers = ("POST", FORM) if body is not None else ("GET", {})
        with self.client.request(
            method, path, name=name, data=body, headers=headers, catch_response=True
        ) as response:
            patience = (response.headers or {}).get("retry-after")
            refused = response.status_code in (429, 503) and patience is not None
            if refused:
                response.failure(f"refused, {response.status_code}")
            elif response.status_code == 404 and path == "/predict-batch":
                Caller.batches = False
                response.success()
        if refused:
            gevent.sleep(min(float(patience), MAX_PATIENCE))


class Shape(LoadTestShape):
    """The shape of a profile, or of the environment's variables."""

    def __init__(self, profile: Profile | None = None) -> None:
        super().__init__()
        self.profile = profile or Profile(
            users=int(os.environ.get("USERS", "10")),
            seconds=60 * float(os.environ.get("MINUTES", "3")),
            ramp=float(os.environ.get("RAMP", RAMP_SECONDS)),
        )

    def tick(self) -> tuple[int, float] | None:
        """The current number of users, and the rate at which they start."""
        users = self.profile.users_at(self.get_run_time())
        return (users, max(1.0, float(users))) if users else None
