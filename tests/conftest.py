"""What all tests share: the import path, also for the processes they start."""

import asyncio
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "layers/clickbait/python")])
# No test may reach an account by accident, whatever the machine is signed in to.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_DEFAULT_REGION="us-east-1"
)

# Mangum takes the main thread's event loop when a handler is made, and in Lambda nobody else does.
# Here others come and go, and `asyncio.run` leaves none behind: one is kept until the end, closed
# then, and set for each test.
_LOOP = asyncio.new_event_loop()
asyncio.set_event_loop(_LOOP)


def pytest_unconfigure() -> None:
    _LOOP.close()


@pytest.fixture(autouse=True)
def nothing_of_another_test():
    """Each test has its own cloud, so none may keep a client; and the loop is the one above."""
    from clickbait.aws import forget_clients

    forget_clients()
    asyncio.set_event_loop(_LOOP)
