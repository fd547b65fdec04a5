"""The stored things that the routes read and write; each says which setting it lacks."""

from collections.abc import Callable, Iterable
from typing import Annotated

from fastapi import Depends

from clickbait.errors import Unavailable
from clickbait.settings import settings
from clickbait.store import dataset_stats, presigned
from clickbait.store.feedback import Feedback
from clickbait.store.registry import Registry
from clickbait.store.runs import Runs
from clickbait.web.access import Given, is_admin


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
    return dataset_stats.training_images(config.table, keys) if stored else {}


def view_url(given: Given) -> Callable[[str], str | None]:
    """The function that returns a link to a stored image, or None if the caller is not an admin.

    Only an admin gets links to stored images: they belong to somebody, and a rejected file may
    show anything. With ACCESS=public anybody may still read the figures about them.
    """
    return presigned.view_url if is_admin(given) else lambda _: None


ViewUrl = Annotated[Callable[[str], str | None], Depends(view_url)]


def _set(name: str) -> str:
    value: str = getattr(settings(), name)
    if not value:
        raise Unavailable(
            f"This service runs without {name.upper()}: it answers predictions, and stores "
            "nothing. `make up` and a deployment have all of it."
        )
    return value
