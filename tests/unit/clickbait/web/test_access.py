"""access: no token or a wrong one opens nothing, reveals nothing, and gets a helpful answer."""

import asyncio
import hmac
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request
from fastapi.security import HTTPAuthorizationCredentials
from moto import mock_aws

from clickbait import aws
from clickbait.errors import Forbidden, Problem, Unauthorized, Unavailable
from clickbait.settings import Settings
from clickbait.web import access, callers
from clickbait.web.access import admin, member
from clickbait.web.callers import Token

SECRET, TOKEN = "stack-admin", "correct-horse-battery"


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(callers, "time", clock)
    return clock


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    """The calls to Secrets Manager."""
    reads: list[str] = []
    client = aws.client

    def counted(service: str) -> Any:
        real = client(service)

        def get_secret_value(SecretId: str) -> Any:
            reads.append(SecretId)
            return real.get_secret_value(SecretId=SecretId)

        return SimpleNamespace(get_secret_value=get_secret_value)

    monkeypatch.setattr(callers.aws, "client", counted)
    return reads


@pytest.fixture
def secret(monkeypatch) -> Iterator[Any]:
    with mock_aws():
        manager = aws.client("secretsmanager")
        manager.create_secret(Name=SECRET, SecretString=TOKEN)
        use(monkeypatch)
        yield manager


def use(monkeypatch, **changes: Any) -> None:
    changed = Settings(**({"admin_secret": SECRET} | changes))
    monkeypatch.setattr(access, "settings", lambda: changed)
    monkeypatch.setattr(callers, "settings", lambda: changed)


@pytest.fixture(autouse=True)
def fresh(monkeypatch) -> None:
    monkeypatch.setattr(callers, "token", Token())


def ask(who: Any, given: str | None) -> Any:
    request = Request({"type": "http", "state": {"request_id": "request-1"}})
    credentials = HTTPAuthorizationCredentials(scheme="Bearer", credentials=given or "")
    return who(request, credentials if given is not None else None)


def refused(who: Any, given: str | None) -> Problem:
    with pytest.raises(Problem) as caught:
        ask(who, given)
    return caught.value


def test_the_token_gives_access_and_the_record_names_the_request(secret: Any) -> None:
    assert ask(admin, TOKEN) == "admin, request request-1"


def test_no_token_is_401_a_wrong_one_403_and_both_say_where_the_token_is(secret: Any) -> None:
    without, wrong = refused(admin, None), refused(admin, "wrong")
    assert isinstance(without, Unauthorized)
    assert isinstance(wrong, Forbidden)
    assert without.headers["WWW-Authenticate"] == "Bearer"
    for problem in (without, wrong):
        assert SECRET in problem.detail
        assert "admin-token" in problem.detail
        assert "Authorization: Bearer" in problem.detail
        assert TOKEN not in problem.detail


@pytest.mark.parametrize("waited", [0.0, 11.0, 400.0])
def test_a_missing_token_takes_as_much_work_as_a_wrong_one(
    secret: Any, clock: Clock, calls: list[str], monkeypatch, waited: float
) -> None:
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(callers.hmac, "compare_digest", counted)

    def work(given: str | None) -> tuple[list[tuple[int, int]], int]:
        callers.token = Token()
        ask(admin, TOKEN)
        clock.now += waited
        compared.clear()
        calls.clear()
        refused(admin, given)
        return list(compared), len(calls)

    assert work(None) == work("wrong") == work(TOKEN + "x") == work("x" * 10_000)
    assert compared
    assert set(compared) == {(32, 32)}  # digests: how much of a token is right does not show


def test_an_empty_secret_accepts_no_token(secret: Any) -> None:
    secret.put_secret_value(SecretId=SECRET, SecretString=" ")
    assert isinstance(refused(admin, None), Unauthorized)
    assert isinstance(refused(admin, ""), Unauthorized)


def test_a_new_token_works_at_once_without_a_deployment(
    secret: Any, clock: Clock, calls: list[str]
) -> None:
    ask(admin, TOKEN)
    clock.now += 11
    secret.put_secret_value(SecretId=SECRET, SecretString="new\n")
    assert ask(admin, "new")
    assert isinstance(refused(admin, TOKEN), Forbidden)


def test_a_replaced_token_stops_working_after_five_minutes(secret: Any, clock: Clock) -> None:
    ask(admin, TOKEN)
    secret.put_secret_value(SecretId=SECRET, SecretString="new")
    clock.now += callers.TOKEN_SECONDS - 1
    assert ask(admin, TOKEN)
    clock.now += 1
    assert isinstance(refused(admin, TOKEN), Forbidden)


def test_the_token_is_read_once_in_five_minutes_and_guessing_reads_it_once_in_ten_seconds(
    secret: Any, clock: Clock, calls: list[str]
) -> None:
    for _ in range(50):
        ask(admin, TOKEN)
    assert len(calls) == 1
    for _ in range(50):
        refused(admin, "guess")
        refused(admin, None)
    assert len(calls) == 1
    clock.now += callers.REFETCH_SECONDS
    for _ in range(50):
        refused(admin, "guess")
    assert len(calls) == 2


def test_a_refusal_names_the_secret_but_not_the_account(secret: Any, monkeypatch) -> None:
    arn = secret.describe_secret(SecretId=SECRET)["ARN"]
    use(monkeypatch, admin_secret=arn)
    for given in (None, "wrong"):
        detail = refused(admin, given).detail
        assert f"--secret-id {SECRET})" in detail
        assert arn.split(":")[4] not in detail
    assert ask(admin, TOKEN)


def test_without_a_secret_name_503_names_the_missing_setting(monkeypatch) -> None:
    use(monkeypatch, admin_secret="")
    for given in (None, "x"):
        problem = refused(admin, given)
        assert isinstance(problem, Unavailable)
        assert "ADMIN_SECRET" in problem.detail


def test_an_unreadable_secret_is_503_without_its_cause_and_is_rarely_read_again(
    secret: Any, clock: Clock, calls: list[str], monkeypatch
) -> None:
    use(monkeypatch, admin_secret="another")
    for _ in range(5):
        problem = refused(admin, TOKEN)
        assert isinstance(problem, Unavailable)
        assert "ResourceNotFound" not in problem.detail
    assert len(calls) == 1
    use(monkeypatch)
    clock.now += callers.REFETCH_SECONDS
    assert ask(admin, TOKEN)


def test_everyone_is_a_member_if_access_is_public_and_only_an_admin_if_it_is_private(
    secret: Any, monkeypatch
) -> None:
    assert isinstance(refused(member, None), Unauthorized)
    assert isinstance(refused(member, "wrong"), Forbidden)
    assert ask(member, TOKEN)
    use(monkeypatch, access="public")
    assert ask(member, None) == ask(member, "wrong") == "anybody"
    assert isinstance(refused(admin, None), Unauthorized)


def test_another_scheme_is_not_a_token() -> None:
    basic = Request({"type": "http", "headers": [(b"authorization", b"Basic abc")]})
    assert asyncio.run(access.ADMIN_BEARER(basic)) is None


def test_after_a_restore_the_secret_is_read_again(secret: Any, calls: list[str]) -> None:
    ask(admin, TOKEN)
    callers.token.forget()
    ask(admin, TOKEN)
    assert len(calls) == 2
