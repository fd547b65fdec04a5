"""Shared by all tests: the import path, also for the processes they start, and one local stack."""

import asyncio
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import botocore.useragent
import botocore.utils
import pytest
from botocore.loaders import Loader

ROOT = Path(__file__).resolve().parents[1]

os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "layers/clickbait/python")])
# As `functions.learn` sets it, before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# No test may reach an account by accident, whatever credentials the machine has.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_DEFAULT_REGION="us-east-1"
)

if sys.platform != "linux":
    # They read /proc, or need Lambda's runtime client, which has no wheels for macOS.
    collect_ignore = [
        "integration/test_hostile_files.py",
        "integration/test_lambda_runtime.py",
        "unit/clickbait/inference/test_bombs.py",
        "unit/local/test_guard.py",
    ]

# Mangum uses the main thread's event loop, and in Lambda nothing else does. Here other loops come
# and go, and `asyncio.run` leaves none behind. So one loop is set for each test and closed at the
# end.
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

# Two of botocore's functions take a fifth of the time of a test with a few hundred objects. They
# read the same times and the same names again and again, and their results never change.
for _module, _name in (
    (botocore.utils, "_parse_timestamp_with_tzinfo"),
    (botocore.useragent, "sanitize_user_agent_string_component"),
):
    setattr(_module, _name, lru_cache(10_000)(getattr(_module, _name)))


def pytest_unconfigure() -> None:
    _LOOP.close()


@pytest.fixture(autouse=True)
def nothing_of_another_test():
    """Drop the clients, because each test has its own cloud, and set the event loop."""
    from clickbait.aws import forget_clients

    forget_clients()
    asyncio.set_event_loop(_LOOP)


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """One local stack per worker: it enforces IAM, and no training starts by itself."""
    from tests.local_stack import LocalStack

    folder = tmp_path_factory.mktemp("stack")
    with LocalStack(folder, LOCAL_AUTH="true", MIN_NEW_IMAGES="100000") as stack:
        yield stack
