"""Who may call what: `Admin` and `Member`, for the signatures of routes.

An admin sends `Authorization: Bearer <token>`; the token is a secret in Secrets Manager. A member
is anybody where ACCESS is public, and an admin where it is private. Whoever sends no token or a
wrong one is answered after the same work.
"""

import hmac
import time
from hashlib import sha256
from threading import Lock
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from clickbait import aws
from clickbait.errors import Forbidden, Problem, Unauthorized, Unavailable
from clickbait.observability import logger
from clickbait.settings import settings
from clickbait.web.app import request_id_of

TOKEN_SECONDS = 300.0
"""How long a token is believed without asking again: a withdrawn one opens nothing after this."""

REFETCH_SECONDS = 10.0
"""Least time between two readings of the secret: a new token works at once, and whoever guesses
tokens cannot make us pay for a call to Secrets Manager each."""

PROTECTED: tuple[type[Problem], ...] = (Unauthorized, Forbidden, Unavailable)
"""The problems that `Admin` and `Member` raise, for a route's `documented(...)`."""

ADMIN_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="AdminToken",
    description="The admin's token.",
)
MEMBER_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="MemberToken",
    description="The admin's token where ACCESS is private, the default; none where it is public.",
)


class Token:
    """The admin's token as Secrets Manager has it; only its digest is kept."""

    def __init__(self) -> None:
        self._digest = b""
        self._read = float("-inf")
        self._tried = float("-inf")
        self._lock = Lock()

    def matches(self, given: str) -> bool:
        """Whether `given` is the token; never for an empty one.

        Reads the secret where TOKEN_SECONDS have passed, and once more where `given` is not what
        was read before, at most every REFETCH_SECONDS. Raises Unavailable where it cannot be read.
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
        """Read the secret at the next request: after a SnapStart restore, hours may have passed."""
        self._read = self._tried = float("-inf")

    def _fetch(self, now: float) -> None:
        secret = settings().admin_secret
        if not secret:
            raise Unavailable(
                "This service has no admin: ADMIN_SECRET is not set. It names the secret in "
                "Secrets Manager that holds the token."
            )
        if now - self._tried < REFETCH_SECONDS:
            raise self._unreadable()
        self._tried = now
        try:
            secret_value = aws.client("secretsmanager").get_secret_value(SecretId=secret)
        except aws.faults() as error:
            logger.error("the admin token cannot be read", reason=str(error))
            raise self._unreadable() from error
        value = secret_value.get("SecretString", "")
        if not value:
            logger.error("the admin token cannot be read", reason="the secret holds no text")
            raise self._unreadable()
        self._digest = sha256(value.strip().encode()).digest()
        self._read = now

    @staticmethod
    def _unreadable() -> Unavailable:
        return Unavailable("The admin's token cannot be read now; the log says why. Try again.")


token = Token()


def admin(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(ADMIN_BEARER)] = None,
) -> str:
    """Who calls, for records: an admin, and by which request.

    Raises Unauthorized without a token, Forbidden with a wrong one, Unavailable where there is no
    token to compare with.
    """
    offered = given.credentials if given else ""
    right = token.matches(offered)
    if not right:
        raise _refusal(offered)
    return f"admin, request {request_id_of(request)}"


def member(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(MEMBER_BEARER)] = None,
) -> str:
    """Who calls: anybody where ACCESS is public, else as `admin`."""
    return "anybody" if settings().access == "public" else admin(request, given)


def is_admin(given: HTTPAuthorizationCredentials | None) -> bool:
    """Whether a request that needs no token came with the admin's; where none can be read, no."""
    try:
        return given is not None and token.matches(given.credentials)
    except Unavailable:
        return False


def _refusal(offered: str) -> Problem:
    secret = settings().admin_secret
    where = (
        f"It is the value of the secret {secret} (aws secretsmanager get-secret-value "
        f"--secret-id {secret}); of `make up` it is in STATE_DIR/admin-token, by default "
        ".local/admin-token."
    )
    kind: type[Problem] = Forbidden if offered else Unauthorized
    what = "The token is not the admin's." if offered else "This needs the admin's token."
    return kind(f"{what} Send the header `Authorization: Bearer TOKEN`. {where}")


Given = Annotated[HTTPAuthorizationCredentials | None, Depends(MEMBER_BEARER)]
Admin = Annotated[str, Depends(admin)]
Member = Annotated[str, Depends(member)]
