"""Items of the table that somebody changed by hand: none of them fails a request, and the sound
ones beside them are listed as before."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from fastapi.testclient import TestClient

from clickbait import aws
from clickbait.errors import Forbidden
from clickbait.store import access_keys, batches, history
from clickbait.store.access_keys import AccessKeys, Gate
from clickbait.store.batches import Batches
from clickbait.store.history import Entry
from functions.admin import app as admin
from functions.batch import app as batch

TABLE = "table"
VALUES: list[dict[str, Any] | None] = [
    None,
    {"NULL": True},
    {"S": ""},
    {"S": "[1]"},
    {"N": "-1"},
    {"N": "1" + "0" * 30},
    {"L": [{"M": {"a": {"N": "1"}}}]},
    {"B": b"\xff\x00"},
]
"""Values in DynamoDB's form; None for a field that is gone."""

TODAY = datetime.now(UTC)
PREDICTION = {
    "prediction": "clickbait_fake",
    "probability": 0.9,
    "uncertain": False,
    "threshold": 0.5,
    "model_version": "v1",
    "image": {"sha256": "a" * 64},
    "timing_ms": {"total": 9.0},
}


@pytest.fixture(autouse=True)
def fresh(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(history, "_paused_until", 0.0)
    monkeypatch.setattr(history, "SEARCH_SECONDS", float("inf"))
    monkeypatch.setattr(batches, "_followed", {})
    access_keys.gate.cache_clear()
    yield
    access_keys.gate.cache_clear()


def log(number: int) -> str:
    given = {"key": "inbox/a/b", "file": "b", "at": TODAY.replace(microsecond=number)}
    entry = Entry(PREDICTION, {"brightness": 0.5}, f"request-{number}", **given)  # type: ignore[arg-type]
    (made,) = history.log_all([entry], "worker", "a")
    assert made is not None
    return made


def create_batch(number: int) -> str:
    return Batches("data", TABLE).create([f"{number}.jpg"], 0.4, f"batch {number}")


def create_key(number: int) -> str:
    key, _ = AccessKeys(TABLE).create(
        f"key {number}", "predict", "admin", 5, TODAY.replace(year=2999)
    )
    return key.id


def start_run(number: int) -> str:
    run = f"20261127-12231{number}-aaaaaa"
    times = {"at_QUEUED": "2026-11-27T12:00:00+00:00", "at_FAILED": "2026-11-27T12:00:01+00:00"}
    fields = {"state": "FAILED", "parameters": "{}", "error": '"Stopped."'}
    assert aws.put_item(TABLE, {"pk": "run#", "sk": run} | times | fields) is not None
    return run


KINDS: dict[str, tuple[Callable[[int], str], str, Any, str, bool]] = {
    "prediction#": (log, f"/predictions?day={TODAY:%Y-%m-%d}", admin, "/predictions/{}", True),
    "batch#": (create_batch, "/batches", batch, "/batches/{}", False),
    "key#": (create_key, "/keys", admin, "/keys", True),
    "run#": (start_run, "/runs", admin, "/runs/{}", True),
}
"""How an item is created, its list, the function, its own address, and whether a list may leave a
damaged one out."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_item_fails_no_request(cloud: Any, kind: str) -> None:
    create, everything, function, one, left_out = KINDS[kind]
    client = TestClient(function.app, headers=cloud.admin, raise_server_exceptions=False)
    sound, damaged = create(1), create(2)
    assert {item["id"] for item in client.get(everything).json()["items"]} == {sound, damaged}
    assert client.get(one.format(damaged)).status_code == 200
    items = cloud.db.scan(TableName=TABLE)["Items"]
    (item,) = (
        item
        for item in items
        if item["pk"]["S"].startswith(kind)
        and (damaged in item["sk"]["S"] or "request-2" in item["sk"]["S"])
    )
    wrong = []
    for field in item.keys() - {"pk", "sk"}:
        for value in VALUES:
            changed = {name: kept for name, kept in item.items() if name != field}
            cloud.db.put_item(TableName=TABLE, Item=changed | ({field: value} if value else {}))
            batches._followed.clear()
            listed, read = client.get(everything), client.get(one.format(damaged))
            found = {each["id"] for each in listed.json().get("items", [])}
            right = found == {sound, damaged} or (left_out and found == {sound})
            if not right or listed.status_code != 200 or read.status_code not in (200, 404):
                wrong.append((field, value, listed.text[:200], read.text[:200]))
    assert wrong == []


@pytest.mark.parametrize("field", ["role", "ends", "revoked", "digest", "quota", "name"])
def test_a_damaged_key_does_not_work(cloud: Any, field: str) -> None:
    keys = AccessKeys(TABLE)
    key, text = keys.create("site", "predict", "admin", 5, None)
    for value in VALUES[1:2] + VALUES[6:]:
        aws.client("dynamodb").update_item(
            TableName=TABLE,
            Key=aws.key_of("key#", key.id),
            UpdateExpression="SET #field = :value",
            ExpressionAttributeNames={"#field": field},
            ExpressionAttributeValues={":value": value},
        )
        with pytest.raises(Forbidden):
            Gate(keys).check(text)
        assert keys.all() == []


class Strict:
    """DynamoDB's rule, which moto lacks: a number can only be added to a number."""

    def __init__(self) -> None:
        self.update = aws.update_item

    def __call__(
        self, table: str, pk: str, sk: str, expression: str, *given: Any, **more: Any
    ) -> Any:
        item = aws.get_item(table, pk, sk) or {}
        kept = [
            item[name] for name in ("seen", "due") if f"{name} :" in expression and name in item
        ]
        if "ADD" in expression and not all(isinstance(each, float) for each in kept):
            raise ClientError({"Error": {"Code": "ValidationException"}}, "UpdateItem")
        return self.update(table, pk, sk, expression, *given, **more)


@pytest.mark.parametrize("field", ["seen", "due", "files", "created"])
def test_a_batch_whose_head_is_damaged_ends(
    cloud: Any, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    monkeypatch.setattr(aws, "update_item", Strict())
    of = Batches("data", TABLE)
    name = create_batch(1)
    of.start(name)
    for value in VALUES[1:]:
        aws.client("dynamodb").update_item(
            TableName=TABLE,
            Key=aws.key_of("batch#", name),
            UpdateExpression="SET #field = :value",
            ExpressionAttributeNames={"#field": field},
            ExpressionAttributeValues={":value": value},
        )
        of.record_rows(name, 1, 0)
        assert of.progress(name).state == "finished"
