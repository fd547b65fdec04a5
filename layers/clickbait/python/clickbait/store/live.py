"""The live model of a serving process: refreshed between requests, never mixed.

A process reads the pointer at most every REFRESH_SECONDS, loads and checks a new version beside the
old one, and swaps them in one assignment, so a request sees either model, never both. A version and
the threshold that an admin set are swapped together. If the new version does not load, the old one
keeps serving with the old threshold, and a metric counts the failure.
"""

import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock, Thread

from clickbait.aws import forget_clients
from clickbait.errors import InvalidModel, Unavailable
from clickbait.inference.classifier import Classifier
from clickbait.observability import count, logger
from clickbait.settings import settings
from clickbait.store.registry import Pointer, Registry

REFRESH_SECONDS = 30.0
"""A new champion is live everywhere within this time. One conditional GET in 30 s costs next to
nothing."""


class LiveModel:
    """The live model: the champion of a bucket, or the model in a folder if there is none."""

    def __init__(self, folder: Path, registry: Registry | None = None) -> None:
        self.folder = folder
        self.registry = registry
        self.refreshes_aside = False
        """Whether a thread refreshes while requests use the old model, so that a slow S3 delays
        none. Lambda stops all threads between requests, so there the request refreshes."""
        self.since = 0.0
        self._loaded: Classifier | None = None  # with the version's own threshold
        self._classifier: Classifier | None = None
        self._refreshed = float("-inf")
        self._failed = ""
        self._lock = Lock()

    def current(self) -> Classifier:
        """The model for this request with the threshold in use, refreshed first if that is due.

        Raises Unavailable (503) only if no model at all could be loaded.
        """
        now = time.monotonic()
        due = self.registry is not None and now - self._refreshed >= REFRESH_SECONDS
        # One thread refreshes. The others use the old model; without one they wait.
        if (due or self._classifier is None) and self._lock.acquire(self._classifier is None):
            if self.refreshes_aside and self._classifier is not None:
                Thread(target=self._refresh_locked, args=(now,), daemon=True).start()
            else:
                self._refresh_locked(now)
        if self._classifier is None:
            raise Unavailable(
                f"No model could be loaded ({self._failed}). Try again in half a minute."
            )
        return self._classifier

    def warm(self) -> None:
        """Load the model before the first request; without one, requests raise Unavailable."""
        with suppress(Unavailable):  # The cause is in the log.
            self.current()

    def after_restore(self) -> None:
        """After a SnapStart restore: the next request reads the pointer with a new client."""
        self._refreshed = float("-inf")
        forget_clients()
        if self.registry:
            self.registry = Registry(self.registry.bucket)

    def _refresh_locked(self, now: float) -> None:
        """Refresh, then release the lock, which the caller has taken."""
        try:
            self._refresh(now)
        finally:
            self._lock.release()

    def _refresh(self, now: float) -> None:
        self._refreshed = now
        if self.registry:
            try:
                pointer = self.registry.poll_champion()
                if pointer:
                    self._follow(self.registry, pointer)
            except InvalidModel as error:
                self.registry.forget()
                self._failure(error)
        if self._classifier is None:
            try:
                self._swap(Classifier.load(self.folder))
            except InvalidModel as error:
                self._failure(error)

    def _follow(self, registry: Registry, pointer: Pointer) -> None:
        """Serve the version and the threshold of `pointer`; raises InvalidModel."""
        loaded = self._loaded
        if loaded is None or loaded.version != pointer.version:
            loaded = registry.load(pointer.version)
        self._swap(loaded, pointer.threshold)

    def _swap(self, loaded: Classifier, threshold: float | None = None) -> None:
        new = loaded is not self._loaded
        self._loaded, self._classifier = loaded, loaded.at(threshold)
        self._failed = ""
        if new:
            self.since = time.time()
        logger.info(
            "model loaded" if new else "threshold changed",
            model_version=loaded.version,
            threshold=self._classifier.threshold,
        )

    def _failure(self, error: InvalidModel) -> None:
        self._failed = error.detail
        serving = self._classifier.version if self._classifier else None
        logger.error("model not loaded", reason=error.detail, still_serving=serving)
        count("ModelLoadFailure")


@cache
def serving() -> LiveModel:
    """The process's one live model: the champion of MODELS_BUCKET, or the model of MODEL_PATH."""
    config = settings()
    registry = Registry(config.models_bucket) if config.models_bucket else None
    return LiveModel(config.model_folder, registry)
