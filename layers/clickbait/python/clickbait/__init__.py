"""How likely is a thumbnail to be clickbait? The library that every part of the project shares."""

from typing import Literal, get_args

VERSION = "0.1.0"
"""The version of the whole project; pyproject.toml and the API read it."""

Label = Literal["clickbait_real", "clickbait_fake"]

LABELS: tuple[str, ...] = get_args(Label)
"""Label order of every model: index 0 is legitimate, index 1 is clickbait, the positive class."""

Verdict = Literal["clickbait", "legitimate", "unsure"]


def verdict_of(is_clickbait: bool | None, uncertain: bool | None) -> Verdict:
    """A prediction in one word."""
    if uncertain:
        return "unsure"
    return "clickbait" if is_clickbait else "legitimate"
