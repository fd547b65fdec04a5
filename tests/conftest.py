"""What all tests share: the import path, also for the processes they start."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader

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


# Each `mock_aws` begins with a new session, which would parse the same service models again: 0.1 s
# in each test.
_SERVICE_MODELS: dict[Any, Any] = {}


def _share_service_models(
    loader: Loader, *args: Any, init: Any = Loader.__init__, **more: Any
) -> None:
    init(loader, *args, **more)
    if type(loader) is Loader:  # moto's own loader reads other files under the same names.
        loader._cache = _SERVICE_MODELS


Loader.__init__ = _share_service_models


def pytest_unconfigure() -> None:
    _LOOP.close()


@pytest.fixture(autouse=True)
def nothing_of_another_test():
    """Each test has its own cloud, so none may keep a client; and the loop is the one above."""
    from clickbait.aws import forget_clients

    forget_clients()
    asyncio.set_event_loop(_LOOP)
