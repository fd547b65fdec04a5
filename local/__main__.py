"""python -m local up: the whole stack in the foreground; retrain and replay work on it."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from local.cloud import KEYS
from local.guard import die_with_parent
from local.settings import StackSettings
from ops import StackError

LEFT = 130
"""What a shell answers for Ctrl-C."""


@click.group(help=__doc__)
def main() -> None:
    """The commands of the local stack."""


@main.command()
def up() -> None:
    """Start the stack and serve until Ctrl-C."""
    with _one_line("make up"):
        settings = StackSettings.from_environment(os.environ)
        settings.claim()
        if "MAKELEVEL" in os.environ:  # kill -9 of make must leave nothing behind either.
            die_with_parent()
        from local import stack  # Takes a second to import, which a port in use should not.

        stack.up(settings)


@main.command()
@click.option("--url", envvar="API_URL", default="", help="API to call; else that of `make up`.")
@click.option("--token", envvar="ADMIN_TOKEN", default="", help="The admin's token of that API.")
@click.option("--architecture", help="efficientnet_lite0 or cnn.")
@click.option("--epochs", type=int, help="Epochs at most.")
@click.option("--batch-size", type=int)
@click.option("--learning-rate", type=float)
@click.option("--validation-split", type=float, help="Share of the images to validate on.")
@click.option("--from-scratch", is_flag=True, help="Do not start from the live model's weights.")
@click.option("--skip-label-check", is_flag=True, help="Go on where the live model disagrees.")
def retrain(url: str, token: str, **parameters: Any) -> None:
    """Start a training and follow it to its end.

    The exit status is 0 where the new model was promoted or rejected, 1 where the training failed.
    """
    from ops.retrain import Service, retrain

    with _one_line("retrain"):
        service = Service.named(url, token, _state_dir())
        given = {n: v for n, v in parameters.items() if v is not None and v is not False}
        try:
            if not retrain(service, given, click.echo):
                sys.exit(1)
        except KeyboardInterrupt:
            click.echo(f"not followed any more; the run goes on, see {service.url}/runs")
            sys.exit(LEFT)


@main.command()
@click.option("--queue", help="URL of the queue; else UploadsQueue of `make up`.")
@click.option("--dead-letters", help="URL of its dead-letter queue; else UploadsDeadLetters.")
def replay(queue: str | None, dead_letters: str | None) -> None:
    """Move every dead letter back to its queue, here or, with both URLs, on AWS."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    from ops.replay import replay

    with _one_line("replay"):
        if bool(queue) != bool(dead_letters):
            raise StackError("--queue and --dead-letters go together.")
        try:
            if queue and dead_letters:
                sqs = boto3.client("sqs", region_name=_region_of(queue))
            else:
                stack = _running()
                queue = stack["outputs"]["UploadsQueue"]
                dead_letters = stack["outputs"]["UploadsDeadLetters"]
                sqs = boto3.client(
                    "sqs",
                    endpoint_url=stack["cloud_url"],
                    region_name=stack["region"],
                    aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
                    aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
                )
            click.echo(f"{replay(sqs, dead_letters, queue)} messages moved to {queue}")
        except (BotoCoreError, ClientError) as error:
            raise StackError(str(error)) from error


@contextmanager
def _one_line(command: str) -> Iterator[None]:
    """Tell a StackError in one line, and exit with 1."""
    try:
        yield
    except StackError as error:
        print(f"{command}: {error}", file=sys.stderr)
        sys.exit(1)


def _state_dir() -> Path:
    return StackSettings.from_environment(os.environ).state_dir


def _running() -> dict[str, Any]:
    """`stack.json` of the stack that runs."""
    file = _state_dir() / "stack.json"
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError as error:
        raise StackError(f"No stack runs in {file.parent}: start one with make up.") from error
    return found


def _region_of(queue: str) -> str | None:
    """The region in a queue's URL on AWS; else that of the environment."""
    host = queue.partition("://")[2].partition("/")[0].split(".")
    return host[1] if host[0] == "sqs" and len(host) > 2 else None


if __name__ == "__main__":
    main(prog_name="python -m local")
