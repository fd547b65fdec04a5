"""The stored things that the routes read and write; each says which setting it lacks."""

from collections.abc import Iterable

from clickbait.errors import Unavailable
from clickbait.settings import settings
from clickbait.store import dataset_stats
from clickbait.store.feedback import Feedback
from clickbait.store.registry import Registry
from clickbait.store.runs import Runs


def registry() -> Registry:
    """The models bucket; raises Unavailable where there is none."""
    return Registry(_set("models_bucket"))


def runs() -> Runs:
    """The runs in the table; raises Unavailable where there is none."""
    _set("table")
    return Runs.from_settings()


def feedback() -> Feedback:
    """The corrections in the data bucket; raises Unavailable where there is none."""
    return Feedback(_set("data_bucket"))


def table() -> str:
    """The table's name; raises Unavailable where there is none."""
    return _set("table")


def data_bucket() -> str:
    """The data bucket's name; raises Unavailable where there is none."""
    return _set("data_bucket")


def images_here(keys: Iterable[str]) -> dict[str, str]:
    """Those of `keys`, at most 100, that are training images now, each with the SHA-256 of its
    bytes; none where this service stores nothing."""
    config = settings()
    stored = config.table and config.data_bucket
    return dataset_stats.here(config.table, keys) if stored else {}


def _set(name: str) -> str:
    value: str = getattr(settings(), name)
    if not value:
        raise Unavailable(
            f"This service runs without {name.upper()}: it answers predictions, and stores "
            "nothing. `make up` and a deployment have all of it."
        )
    return value
