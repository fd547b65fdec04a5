"""Who calls: the admin, by the token in Secrets Manager, or the owner of a key, by the key.

This module imports no FastAPI, because `functions.predict` starts without it. `access` has the
parameters of routes.
"""

import hmac
import time
from hashlib import sha256
from threading import Lock

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from clickbait import aws
from clickbait.errors import Forbidden, Problem, Unauthorized, Unavailable
from clickbait.observability import logger
from clickbait.settings import settings
from clickbait.store import access_keys
from clickbait.store.access_keys import AccessKey

TOKEN_SECONDS = 300.0
"""How long a token is cached. A replaced token stops working after this at the latest."""

REFETCH_SECONDS = 10.0
"""Least time between two reads of the secret. A new token works almost at once, and guessing
tokens does not cost a call to Secrets Manager for each guess."""


class Token:
    """The admin token in Secrets Manager. Only its digest stays in memory."""

    def __init__(self) -> None:
        self._digest = b""
        self._read = float("-inf")
        self._tried = float("-inf")
        self._lock = Lock()

    def matches(self, given: str) -> bool:
        """Whether `given` is the token. An empty string never is.

        Reads the secret if TOKEN_SECONDS have passed, and again if `given` does not match, at most
        every REFETCH_SECONDS. Raises Unavailable if the secret cannot be read.
        """
        offered = sha256(given.encode()).digest()
        with self._lock:
            now = time.monotonic()
            if now - self._read >= TOKEN_SECONDS:
                self._fetch(now)
            same = hmac.compare_digest(offered, self._digest)
            if not same and now - self._tried >= REFETCH_SECONDS:
                self._fetch(now)
                same = hmac.compare_digest(offered, self._digest)
        return same and given != ""

    def forget(self) -> None:
        """Read the secret at the next request. After a SnapStart restore, hours may have passed."""
        self._read = self._tried = float("-inf")

    def _fetch(self, now: float) -> None:
        secret = settings().admin_secret
        if not secret:
            raise Unavailable(
                "This service has no admin, because ADMIN_SECRET is not set. Set it to the name of "
                "the secret in Secrets Manager that holds the admin token."
            )
        if now - self._tried < REFETCH_SECONDS:
            raise self._unreadable()
        self._tried = now
        try:
            secret_value = aws.client("secretsmanager").get_secret_value(SecretId=secret)
        except aws.faults() as error:
            logger.error("admin token not readable", reason=str(error))
            raise self._unreadable() from error
        value = secret_value.get("SecretString", "")
        if not value:
            logger.error("admin token not readable", reason="the secret holds no text")
            raise self._unreadable()
        self._digest = sha256(value.strip().encode()).digest()
        self._read = now

    @staticmethod
    def _unreadable() -> Unavailable:
        return Unavailable("The admin token cannot be read now. The log has the cause. Try again.")


token = Token()


def key_of(offered: str) -> AccessKey | None:
    """The active key that a caller offers; None if `offered` does not look like one.

    Raises Forbidden for a key that is unknown, revoked or at its end, and Unavailable if the table
    cannot be read.
    """
    table = settings().table
    if not table or not access_keys.KEY.fullmatch(offered):
        return None
    try:
        return access_keys.gate(table).check(offered)
    except aws.faults() as fault:
        logger.error("key not readable", reason=aws.reason(fault))
        raise Unavailable("The key cannot be checked now. The log has the cause. Try again.") from (
            fault
        )


async def predictor(request: Request) -> AccessKey | None:
    """The key of a caller who wants a prediction; None for one without a key.

    Raises what `key_of` raises, and if PREDICT_ACCESS is `keys`, Unauthorized or Forbidden for a
    caller with neither a key nor the admin token. The table and the secret are read in a thread, so
    that a slow one does not hold up other requests.
    """
    scheme, _, offered = request.headers.get("authorization", "").partition(" ")
    offered = offered.strip() if scheme.lower() == "bearer" else ""
    if not offered and settings().predict_access == "open":
        return None
    return await run_in_threadpool(_predictor, offered)


def _predictor(offered: str) -> AccessKey | None:
    key = key_of(offered)
    if key is None and settings().predict_access == "keys" and not token.matches(offered):
        kind: type[Problem] = Forbidden if offered else Unauthorized
        raise kind(
            "Predictions of this service need a key. Send the header `Authorization: Bearer KEY`. "
            "An admin of the service makes keys with POST /keys."
        )
    return key


async def count(key: AccessKey | None, images: int) -> None:
    """Count images that are classified with a key; raises TooManyRequests past its quota."""
    if key is not None:
        await run_in_threadpool(access_keys.gate(settings().table).count, key, images)


def forget() -> None:
    """After a SnapStart restore: read the token and the keys again."""
    token.forget()
    if table := settings().table:
        access_keys.gate(table).forget()
