"""The stores that the routes read and write. Each raises NotConfigured if its setting is empty."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeVar

from fastapi import Depends

from clickbait import aws
from clickbait.errors import NotConfigured
from clickbait.settings import settings
from clickbait.store import dataset_stats, presigned
from clickbait.store.changes import Changes
from clickbait.store.feedback import Feedback
from clickbait.store.labelled import LabelledImages, Live
from clickbait.store.registry import METADATA, Registry
from clickbait.store.review import Review
from clickbait.store.runs import Runs
from clickbait.store.triggers import Triggers
from clickbait.web.access import Given, is_admin

T = TypeVar("T")

WORKERS = 16
"""Images changed at a time. Each takes eight calls to S3 and the table, about 0.1 s in all."""


def registry() -> Registry:
    """The models bucket."""
    return Registry(_setting("models_bucket"))


def runs() -> Runs:
    """The runs in the table."""
    _setting("table")
    return Runs.from_settings()


def triggers() -> Triggers:
    """The triggers, which start runs."""
    for name in ("table", "data_bucket", "models_bucket"):
        _setting(name)
    return Triggers.from_settings()


def feedback() -> Feedback:
    """The corrections in the data bucket."""
    return Feedback(_setting("data_bucket"))


def changes() -> Changes:
    """The changes of labelled images."""
    return Changes(_setting("data_bucket"), _setting("table"))


def labelled() -> LabelledImages:
    """The labelled images, as the live model sees them."""
    table, bucket = _setting("table"), _setting("data_bucket")
    return LabelledImages(table, bucket, settings().models_bucket, live())


def live() -> Live:
    """The parts of the live version that are needed to judge images."""
    config = settings()
    pointer = Registry(config.models_bucket).pointer() if config.models_bucket else None
    if pointer is None or not pointer.version:
        metadata = json.loads((config.model_folder / METADATA).read_bytes())
    else:
        metadata = Registry(config.models_bucket).metadata(pointer.version)
    band = metadata["uncertain_band"]
    return Live(
        metadata["model_version"],
        metadata["threshold"]
        if pointer is None or pointer.threshold is None
        else pointer.threshold,
        band["low"],
        band["high"],
        metadata.get("anchor", ""),
    )


def review() -> Review:
    """The review queue, as the live model sees it."""
    table, bucket = _setting("table"), _setting("data_bucket")
    return Review(bucket, table, settings().models_bucket, live())


def table() -> str:
    """The table's name."""
    return _setting("table")


def data_bucket() -> str:
    """The data bucket's name."""
    return _setting("data_bucket")


def at_once(work: Callable[[str], T], over: Iterable[str]) -> list[T]:
    """The results of `work`, in order, WORKERS at a time."""
    for service in ("s3", "dynamodb"):
        aws.client(service)  # Threads may share a client, but not create one at the same time.
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, over))


def training_images(keys: Iterable[str]) -> dict[str, str]:
    """Which of `keys` (at most 100) are training images now, each with its SHA-256.

    {} if this service stores nothing.
    """
    config = settings()
    if not (config.table and config.data_bucket):
        return {}
    return dataset_stats.training_images(config.table, keys)


def view_url(given: Given) -> Callable[[str], str | None]:
    """The function that returns a link to a stored image, or None if the caller is not an admin.

    Only an admin gets links to stored images, because they belong to somebody, and a rejected file
    may show anything. With ACCESS=public, anyone may still read the figures about them.
    """
    return presigned.view_url if is_admin(given) else lambda _: None


ViewUrl = Annotated[Callable[[str], str | None], Depends(view_url)]


def _setting(name: str) -> str:
    value: str = getattr(settings(), name)
    if not value:
        raise NotConfigured.without(name.upper())
    return value
