"""Clients of the local stack that all files of a worker share."""

from collections.abc import Iterator

import httpx
import pytest


@pytest.fixture
def api(stack) -> Iterator[httpx.Client]:
    with stack.client() as client:
        yield client


@pytest.fixture
def admin(stack) -> Iterator[httpx.Client]:
    with stack.admin() as client:
        yield client
