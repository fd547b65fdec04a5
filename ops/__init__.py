"""What an operator runs on a service, on AWS or on this machine: deploy, retrain, replay."""


class StackError(Exception):
    """Raise when the stack cannot start or go on; the text is the one line that its user reads."""
