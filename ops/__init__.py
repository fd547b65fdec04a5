"""The operator's commands, for AWS and for this machine."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOCAL_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
"""Root's keys of the emulator; without LOCAL_AUTH it accepts any key."""


class StackError(Exception):
    """Raise when the stack cannot start or go on; the text is the one line that its user reads."""


def state_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder in which the local stack keeps its state."""
    return Path(environment.get("STATE_DIR") or ".local").absolute()


def running_stack() -> dict[str, Any]:
    """The `stack.json` of the local stack; raises StackError if none is running."""
    folder = state_dir()
    try:
        description: dict[str, Any] = json.loads((folder / "stack.json").read_text())
    except FileNotFoundError as error:
        raise StackError(
            f"No stack runs in {folder}: start one with make up, set STATE_DIR to its folder, or "
            f"name another service by the options (see --help)."
        ) from error
    return description


def emulator_client(service: str, url: str, region: str) -> Any:
    """A boto3 client of one service of the emulator with root's keys, which allow everything."""
    import boto3
    from botocore.config import Config

    create: Any = boto3.client  # Its stubs want a literal name.
    return create(
        service,
        endpoint_url=url,
        region_name=region,
        **{name.lower(): key for name, key in LOCAL_KEYS.items()},
        config=Config(retries={"total_max_attempts": 2}, proxies={}),
    )


@contextmanager
def errors_in_one_line(command: str) -> Iterator[None]:
    """Print an error of the stack or of AWS as one line on standard error; exit with status 1."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (StackError, BotoCoreError, ClientError) as error:
        print(f"{command}: {error}", file=sys.stderr)
        sys.exit(1)
