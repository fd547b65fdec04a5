"""Run the whole stack on this machine: python -m local up."""

import os

import click

from local.guard import die_with_parent
from local.settings import StackSettings
from ops import errors_in_one_line


@click.group(help=__doc__)
def main() -> None:
    """The commands of the local stack."""


@main.command()
def up() -> None:
    """Start the stack and serve until Ctrl-C."""
    with errors_in_one_line("make up"):
        settings = StackSettings.from_environment(os.environ)
        settings.prepare()
        if "MAKELEVEL" in os.environ:  # So that `kill -9` of make leaves nothing running either.
            die_with_parent()
        from local import stack  # Imported late: it takes a second, and a port may be in use.

        stack.up(settings)


if __name__ == "__main__":
    main(prog_name="python -m local")
