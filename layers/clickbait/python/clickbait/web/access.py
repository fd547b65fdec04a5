"""Who may call what: `Admin` and `Member`, for the signatures of routes.

An admin sends `Authorization: Bearer <token>`; the token is a secret in Secrets Manager. If ACCESS
is public, everyone is a member. If it is private, only an admin is. Refusing a missing token takes
as long as refusing a wrong one.
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
"""How long a token is cached. A replaced token stops working after this at the latest."""

REFETCH_SECONDS = 10.0
"""Least time between two reads of the secret. A new token works almost at once, and guessing
tokens does not cost a call to Secrets Manager for each guess."""

PROTECTED: tuple[type[Problem], ...] = (Unauthorized, Forbidden, Unavailable)
"""The problems that `Admin` and `Member` raise, for a route's `documented(...)`."""

ADMIN_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="AdminToken",
    description="The admin token.",
)
MEMBER_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="MemberToken",
    description="The admin token if ACCESS is private (the default); none if it is public.",
)


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


def admin(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(ADMIN_BEARER)] = None,
) -> str:
    """The caller's name for records: an admin, and the request.

    Raises Unauthorized without a token, Forbidden with a wrong one, and Unavailable if the secret
    cannot be read.
    """
    offered = given.credentials if given else ""
    if not token.matches(offered):
        raise _refusal(offered)
    return f"admin, request {request_id_of(request)}"


def member(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(MEMBER_BEARER)] = None,
) -> str:
    """The caller's name for records: "anybody" if ACCESS is public, otherwise as in `admin`."""
    return "anybody" if settings().access == "public" else admin(request, given)


def is_admin(given: HTTPAuthorizationCredentials | None) -> bool:
    """Whether the caller of an open route is the admin. False if the secret cannot be read."""
    try:
        return given is not None and token.matches(given.credentials)
    except Unavailable:
        return False


def _refusal(offered: str) -> Problem:
    secret = settings().admin_secret
    hint = (
        f"It is the value of the secret {secret} (aws secretsmanager get-secret-value "
        f"--secret-id {secret}). With `make up` it is in STATE_DIR/admin-token, by default "
        ".local/admin-token."
    )
    kind: type[Problem] = Forbidden if offered else Unauthorized
    finding = "This is not the admin token." if offered else "This needs the admin token."
    return kind(f"{finding} Send the header `Authorization: Bearer TOKEN`. {hint}")


Given = Annotated[HTTPAuthorizationCredentials | None, Depends(MEMBER_BEARER)]
Admin = Annotated[str, Depends(admin)]
Member = Annotated[str, Depends(member)]
