"""access_keys: shown once, stored as a hash, revoked within a minute, counted by the day."""

import hmac
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from clickbait import aws
from clickbait.errors import Conflict, Forbidden, NotFound, TooManyRequests
from clickbait.store import access_keys
from clickbait.store.access_keys import AccessKey, AccessKeys, Gate
from tests.cloud import TABLE, cloud_in_memory

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Time:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds - 1_000)


@pytest.fixture
def keys() -> Iterator[AccessKeys]:
    with cloud_in_memory("bucket"):
        yield AccessKeys(TABLE)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def gate(keys: AccessKeys, time: Time) -> Gate:
    return Gate(keys, time.clock, time.now)


def made(
    keys: AccessKeys, quota: int | None = None, ends: datetime | None = None, name: str = "site"
) -> tuple[AccessKey, str]:
    return keys.create(name, "predict", "admin", quota, ends)


def test_a_key_works_and_its_text_is_not_stored(keys: AccessKeys, gate: Gate) -> None:
    key, text = made(keys)
    assert gate.check(text) == key
    stored = str(list(aws.query(TABLE, "key#")))
    assert key.name in stored
    secret = text.split("_", 2)[2]  # may hold "_" itself
    assert len(secret) == 43 and secret not in stored
    assert key.digest not in repr(key) and "digest" not in key.public(NOON)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1] + ("a" if text[-1] != "a" else "b"),
        lambda text: text.replace(text[4:16], "0" * 12),
        lambda text: text + "a",
        lambda text: "",
        lambda text: "cbk__",
    ],
)
def test_any_other_text_is_refused(keys: AccessKeys, gate: Gate, change: Any) -> None:
    _, text = made(keys)
    with pytest.raises(Forbidden, match="not known"):
        gate.check(change(text))


def test_hashes_are_compared_in_constant_time_for_unknown_keys_too(
    keys: AccessKeys, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def counted(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(access_keys.hmac, "compare_digest", counted)
    _, text = made(keys)
    gate.check(text)
    with pytest.raises(Forbidden):
        gate.check("cbk_" + "0" * 12 + "_" + "a" * 43)
    assert compared == [(64, 64)] * 2


def test_a_revoked_key_stops_working_within_a_minute(
    keys: AccessKeys, gate: Gate, time: Time
) -> None:
    key, text = made(keys)
    gate.check(text)
    first = keys.revoke(key.id)
    assert keys.revoke(key.id).revoked == first.revoked
    gate.check(text)  # Known from before.
    time.seconds += access_keys.KNOWN_SECONDS
    with pytest.raises(Forbidden, match="'site' was revoked at 20"):
        gate.check(text)
    with pytest.raises(NotFound):
        keys.revoke("0" * 12)


def test_a_key_ends_at_its_time(keys: AccessKeys, gate: Gate, time: Time) -> None:
    _, text = made(keys, ends=NOON + timedelta(seconds=30))
    gate.check(text)
    time.seconds += 30
    with pytest.raises(Forbidden, match="'site' ended at 2026-11-26T12:00:30"):
        gate.check(text)


def test_a_quota_is_shared_by_processes_and_says_what_is_left(
    keys: AccessKeys, gate: Gate, time: Time
) -> None:
    key, _ = made(keys, quota=10)
    other = Gate(keys, time.clock, time.now)
    gate.count(key, 6)
    time.seconds += access_keys.COUNT_SECONDS
    gate.count(key, 1)
    assert keys.used(key.id, "2026-11-26") == 7
    with pytest.raises(TooManyRequests, match=r"3 are left today\. This request has 4") as caught:
        other.count(key, 4)
    assert caught.value.members == {"limit": 10, "left": 3}
    other.count(key, 3)
    with pytest.raises(TooManyRequests, match="0 are left"):
        other.count(key, 1)


def test_a_new_day_starts_from_zero_and_keeps_the_old_count(
    keys: AccessKeys, gate: Gate, time: Time
) -> None:
    key, _ = made(keys, quota=5)
    gate.count(key, 5)
    time.seconds += 24 * 3600
    gate.count(key, 5)
    assert keys.used(key.id, "2026-11-26") == 5


def test_few_requests_of_a_minute_are_counted_by_one_write(
    keys: AccessKeys, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = made(keys)
    writes: list[int] = []
    add = AccessKeys.add

    def counted(self: AccessKeys, key_id: str, day: str, images: int) -> int:
        writes.append(images)
        return add(self, key_id, day, images)

    monkeypatch.setattr(AccessKeys, "add", counted)
    for _ in range(50):
        gate.count(key, 1)
    assert writes == [0]


def test_a_table_that_does_not_answer_fails_no_request(
    keys: AccessKeys, gate: Gate, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = made(keys, quota=100)
    gate.count(key, 1)

    def broken(*_: object) -> int:
        raise EndpointConnectionError(endpoint_url="http://table")

    with monkeypatch.context() as during:
        during.setattr(AccessKeys, "add", broken)
        time.seconds += 60
        gate.count(key, 1)
    time.seconds += 30
    gate.count(key, 1)  # No request waits for the table again within a minute.
    assert keys.used(key.id, "2026-11-26") == 1
    time.seconds += 30
    gate.count(key, 1)
    assert keys.used(key.id, "2026-11-26") == 4


def test_keys_are_listed_newest_first_and_limited(
    keys: AccessKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {made(keys, name=name)[0].name for name in ("a", "b")}
    assert {key.name for key in keys.all()} == names
    monkeypatch.setattr(access_keys, "MAX_KEYS", 2)
    with pytest.raises(Conflict, match="There are 2 keys"):
        made(keys)
    keys.revoke(keys.all()[0].id)
    made(keys)
    assert len(keys.all()) == 3


def test_a_quota_counts_requests_of_processes_that_end_at_once(
    keys: AccessKeys, time: Time
) -> None:
    key, _ = made(keys, quota=10)
    for _ in range(2):
        Gate(keys, time.clock, time.now).count(key, 5)
    with pytest.raises(TooManyRequests, match="0 are left"):
        Gate(keys, time.clock, time.now).count(key, 1)


def test_a_process_remembers_a_bounded_number_of_keys(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_keys, "MAX_KNOWN", 3)
    for number in range(9):
        with pytest.raises(Forbidden):
            gate.check(f"cbk_{number:012x}_" + "a" * 43)
    assert len(gate._known) == 3


def test_another_thread_may_push_a_key_out_while_it_is_read(
    keys: AccessKeys, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crowded(OrderedDict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            super().__setitem__(key, value)
            del self[key]

    monkeypatch.setattr(gate, "_known", Crowded())
    key, text = made(keys)
    assert gate.check(text) == key
