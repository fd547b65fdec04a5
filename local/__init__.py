"""The whole service on one machine: the same template, deployed to an emulator of the cloud."""


class StackError(Exception):
    """Raise when the stack cannot start or go on; the text is the one line that its user reads."""
