"""Hostile files get no 5xx, use bounded memory, and leave nothing on disk."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.integration.conftest import Server
from tests.samples import bombs, hostile
from tests.samples.drawn import encoded, picture
from tests.waiting import DEADLINE

MOST_MEGABYTES = 300

VALID = [
    encoded(picture((96, 64))),
    encoded(picture((96, 64)), progressive=True, exif=hostile.Image.Exif()),
    encoded(picture((96, 64)), "PNG"),
    encoded(picture((96, 64)).convert("P"), "PNG"),
    encoded(picture((96, 64)), "WEBP"),
    encoded(picture((96, 64)), "WEBP", lossless=True),
]


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server]) -> Server:
    return serve(CACHE_SIZE="0")


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=DEADLINE) as client:
        yield client


def post(client: httpx.Client, data: bytes) -> httpx.Response:
    return client.post("/predict", files={"file": ("../../etc/passwd", data)})


def test_every_hostile_file_gets_an_answer_in_bounded_memory_and_leaves_nothing_behind(
    server: Server, client: httpx.Client
) -> None:
    files = hostile.good_or_bad()
    assert len(files) >= 60
    wrong = {}
    for name, (data, right) in files.items():
        response = post(client, data)
        kind = "application/json" if response.is_success else "application/problem+json"
        if response.status_code not in right or response.headers["content-type"] != kind:
            wrong[name] = response
    assert wrong == {}
    assert server.peak_megabytes() < MOST_MEGABYTES
    assert list(server.temporary.iterdir()) == []
    assert client.get("/status").status_code == 200


def test_costly_files_are_refused_one_by_one_in_a_form_of_several(
    server: Server, client: httpx.Client
) -> None:
    good = encoded(picture())
    for name, data in bombs.refused().items():
        files = [("files", (each, body)) for each, body in (("a", good), (name, data), ("b", good))]
        several = client.post("/predict-batch", files=files)
        statuses = [each.get("status", 200) for each in several.json()["results"]]
        assert statuses == [200, 422, 200], several.text
    assert server.peak_megabytes() < MOST_MEGABYTES


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid image with some bytes replaced, removed, repeated or missing at the end."""
    data = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(["replace", "cut", "double", "end"]))
        if kind == "replace":
            new = draw(st.binary(min_size=1, max_size=8))
            data[at : at + len(new)] = new
        elif kind == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif kind == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


@settings(
    max_examples=400,
    deadline=None,
    # The same images in each run, however slowly a busy machine draws them.
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(mutated())
@example(b"\x89PNG\r\n\x1a\n")
@example(b"\xff\xd8\xff")
@example(b"RIFF\0\0\0\0WEBP")
def test_a_mutated_image_never_gets_a_5xx(
    server: Server, client: httpx.Client, data: bytes
) -> None:
    response = post(client, data)
    assert response.status_code in {200, 415, 422}, response.text
    if response.status_code != 200:
        assert response.headers["content-type"] == "application/problem+json"
    assert server.peak_megabytes() < MOST_MEGABYTES
