"""python -m local up: the whole stack in the foreground; README has what it reads and writes."""

import os
import sys

import click

from local import StackError
from local.cloud import die_with_parent
from local.settings import StackSettings


@click.group(help=__doc__)
def main() -> None:
    """The commands of the local stack."""


@main.command()
def up() -> None:
    """Start the stack and serve until Ctrl-C."""
    try:
        settings = StackSettings.from_environment(os.environ)
        settings.claim()
        if "MAKELEVEL" in os.environ:  # kill -9 of make must leave nothing behind either.
            die_with_parent()
        from local import stack  # Takes a second to import, which a port in use should not.

        stack.up(settings)
    except StackError as error:
        print(f"make up: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="python -m local")
