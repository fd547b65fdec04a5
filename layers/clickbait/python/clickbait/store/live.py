"""The live model of a serving process: refreshed between requests, never mixed.

A process reads the pointer at most every REFRESH_SECONDS, loads and checks a new version beside the
old one, and swaps them in one assignment, so a request sees either model, never both. A version and
the threshold that an admin set are swapped together. If the pointer is damaged or its version does
not load, `registry` says which version every process serves instead; `problem` says why, and a
metric counts the failure. If S3 does not answer, a process goes on with what it has loaded.
"""

import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock, Thread

from clickbait.aws import forget_clients
from clickbait.errors import InvalidModel, Unavailable, Unreadable
from clickbait.inference.classifier import Classifier
from clickbait.observability import count, logger
from clickbait.settings import settings
from clickbait.store.registry import Registry

REFRESH_SECONDS = 30.0
"""A new champion is live everywhere within this time. One conditional GET in 30 s costs next to
nothing."""

CHECK_SECONDS = 300.0
"""The files of the live version are looked at this often, in case somebody overwrites or deletes
them. A process that starts then could not load them, and all have to serve the same version."""


class LiveModel:
    """The live model: the champion of a bucket, or the model in a folder if there is none."""

    def __init__(self, folder: Path, registry: Registry | None = None) -> None:
        self.folder = folder
        self.registry = registry
        self.refreshes_aside = False
        """Whether a thread refreshes while requests use the old model, so that a slow S3 delays
        none. Lambda stops all threads between requests, so there the request refreshes."""
        self.since = 0.0
        self.problem = ""
        """Why the model in use is not the one that `champion.json` names; empty if it is."""
        self._loaded: Classifier | None = None  # with the version's own threshold
        self._classifier: Classifier | None = None
        self._files: tuple[str | None, ...] = ()  # of the loaded version, in the registry
        self._refreshed = self._checked = float("-inf")
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
                f"No model could be loaded ({self.problem}). Try again in half a minute."
            )
        return self._classifier

    def warm(self) -> None:
        """Load the model before the first request; without one, requests raise Unavailable."""
        with suppress(Unavailable):  # The cause is in the log.
            self.current()

    def after_restore(self) -> None:
        """After a SnapStart restore: the next request reads the pointer with a new client."""
        self._refreshed, self._checked = float("-inf"), time.monotonic()
        forget_clients()

    def refresh(self) -> None:
        """Read the pointer and look at the files of its version now."""
        with self._lock:
            self._checked = float("-inf")
            self._refresh(time.monotonic())

    def _refresh_locked(self, now: float) -> None:
        """Refresh, then release the lock, which the caller has taken."""
        try:
            self._refresh(now)
        finally:
            self._lock.release()

    def _refresh(self, now: float) -> None:
        self._refreshed = now
        try:
            if self.registry and self._is_due(self.registry, now):
                self._follow(self.registry)
        except Unreadable as error:
            self._failure(error.detail)
        if self._classifier is None:
            try:
                self._swap(Classifier.load(self.folder), None)
            except InvalidModel as error:
                self._failure(error.detail)

    def _is_due(self, registry: Registry, now: float) -> bool:
        """Whether the live version has to be looked up: the pointer or a file of the version has
        changed, or the last time it was not the one that the pointer names."""
        changed = registry.poll()
        check = now - self._checked >= CHECK_SECONDS
        if check or changed:
            self._checked = now
        if changed or self.problem:
            return True
        return bool(check and self._files and registry.fingerprint(self._version) != self._files)

    def _follow(self, registry: Registry) -> None:
        """Serve the version and the threshold that are live by the registry; raises Unreadable."""
        pointer, found = registry.resolve(self._load, polled=True)
        if pointer and pointer.problem:
            self._failure(pointer.problem)
        else:
            self.problem = ""
        if pointer and found:
            loaded, self._files = found
            self._swap(loaded, pointer.threshold)
        elif self._files:  # No promoted version is of use any more.
            try:
                self._swap(Classifier.load(self.folder), None)
                self._files = ()
            except InvalidModel as error:
                self._failure(error.detail)

    def _load(self, version: str) -> tuple[Classifier, tuple[str | None, ...]]:
        """A version of the registry with its fingerprint; raises InvalidModel."""
        registry = self.registry
        assert registry is not None
        if self._loaded and version == self._version and self._files:
            files = registry.fingerprint(version)
            if files == self._files:
                return self._loaded, files
        return registry.load(version), registry.files

    @property
    def _version(self) -> str:
        return self._loaded.version if self._loaded else ""

    def _swap(self, loaded: Classifier, threshold: float | None) -> None:
        new, before = loaded is not self._loaded, self._classifier
        self._loaded, self._classifier = loaded, loaded.at(threshold)
        if new:
            self.since = time.time()
        elif before and before.threshold == self._classifier.threshold:
            return
        logger.info(
            "model loaded" if new else "threshold changed",
            model_version=loaded.version,
            threshold=self._classifier.threshold,
        )

    def _failure(self, reason: str) -> None:
        self.problem = reason
        serving = self._classifier.version if self._classifier else None
        logger.error("model not loaded", reason=reason, still_serving=serving)
        count("ModelLoadFailure")


@cache
def serving() -> LiveModel:
    """The process's one live model: the champion of MODELS_BUCKET, or the model of MODEL_PATH."""
    config = settings()
    registry = Registry(config.models_bucket) if config.models_bucket else None
    return LiveModel(config.model_folder, registry)
