"""Run the whole stack on this machine: python -m local up."""

import errno
import os

import click

from local.guard import die_with_parent
from local.settings import StackSettings
from ops import StackError, errors_in_one_line

NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
"""Errors of a state folder that its user can mend; any other error of the system is a defect."""


@click.group(help=__doc__)
def main() -> None:
    """The commands of the local stack."""


@main.command()
def up() -> None:
    """Start the stack and serve until Ctrl-C."""
    with errors_in_one_line("make up"):
        settings = StackSettings.from_environment(os.environ)
        with settings.prepare() as lock:
            if "MAKELEVEL" in os.environ:  # So that `kill -9` of make leaves nothing running.
                die_with_parent()
            from local import stack  # Imported late: it takes a second, and a port may be in use.

            try:
                stack.up(settings, lock)
            except OSError as error:
                if error.errno not in NOT_WRITABLE:
                    raise
                raise StackError(
                    f"STATE_DIR={settings.state_dir} cannot be written: {error.strerror}."
                ) from error


if __name__ == "__main__":
    main(prog_name="python -m local")
