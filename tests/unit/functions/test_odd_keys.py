"""Odd keys: whatever is put into a drop folder ends as a row, a description or a rejected object.

Every key goes through the real functions, in the encoding of S3's notifications.
"""

import json
from collections.abc import Iterator
from typing import Any
from unicodedata import normalize
from urllib.parse import quote_plus

import pytest
from fastapi.testclient import TestClient

from clickbait import aws
from clickbait.errors import NotFound
from clickbait.keys import EXAM, INBOX, REJECTED, TRAIN, batch_and_name, is_litter
from clickbait.settings import settings
from clickbait.store import batches, history
from clickbait.store.batches import Batches
from clickbait.store.drop_folder import rejected_key
from clickbait.store.rows import Rows
from functions.batch import app, worker
from functions.retrain import app as retrain
from tests.cloud import TABLE, cloud_in_memory
from tests.samples.drawn import encoded, picture

BUCKET = "data"
JPEG = encoded(picture((96, 54)))
CAFE = "Caf\u00e9 d\u00e9j\u00e0 vu"

FOLDERS = [
    "my folder", "Photos (2)", "a+b", "[x]{y}", "50% off", "50%25", "a&b=c?d#e", "\u00e9t\u00e9",
    normalize("NFD", CAFE), "\u65e5\u672c", "\U0001f600", "x" * 65, "x" * 255, "\u00e9" * 127,
    "...dots", ".5", "-x", "~", "a;b", "a:b", "a\\b", "a'b", 'a"b', "<b>", "a|b*", "$HOME", "`x`",
    " ", " a ", "a.", "x.jpg", "CON", "null", "None", "0", "batch#", "%2F", "&amp;", "\u202ea",
    "\u200bx", "\ufeffy",
]  # fmt: skip
"""Names of folders that are batches."""

NO_FOLDERS = ["", ".", "..", "a\nb", "a\x01b", "a\x7f", "\u2028", "\r", "x" * 901]
"""Names of folders that are none."""

NAMES = [
    "...Baby One More Time.jpg", ".5 seconds to live.jpg", ".jpg", ".hidden", "a b.jpg", "a+b.jpg",
    "100%.jpg", "%2e%2e.jpg", "a?b#c.jpg", "a&b;c.jpg", "cl\u00e9.jpg", "cle\u0301.jpg",
    "\U0001f600", "x" * 255, "\u00e9" * 127, "x" * 900, "a\nb.jpg", "a\x01b.jpg", "\t", " ", ".",
    "..", "../x.jpg", "a/../b.jpg", "/x.jpg", "a//b.jpg", "sub/.5.jpg", "=1+1.jpg", "\\x.jpg",
    "C:\\x.jpg", "Thumbs.db.jpg",
    "desktop.ini.jpg", "..DS_Store", "x/", "no ending", "a.jpg.", "\u202egpj.exe", "results.csv",
]  # fmt: skip

LITTER = [
    ".DS_Store", "._a.jpg", "Thumbs.db", "thumbs.db", "ehthumbs.db", "Desktop.ini", "Icon\r",
    "__MACOSX/._a.jpg", "__MACOSX/a.jpg", ".git/config", "sub/.DS_Store", "@eaDir/a.jpg",
]  # fmt: skip

KEYS = [
    *(f"{INBOX}{folder}/a.jpg" for folder in FOLDERS + NO_FOLDERS),
    *(f"{INBOX}b/{name}" for name in NAMES + LITTER),
    *(f"{INBOX}{name}" for name in ("lost.jpg", ".5.jpg", ".DS_Store", "b/", "new/", "a b/c/")),
    *(f"{TRAIN}clickbait/{name}" for name in NAMES + LITTER),
    *(f"{EXAM}clickbait/{name}" for name in (*NAMES[:4], *LITTER[:2], "..")),
    *(f"{TRAIN}{folder}/a.jpg" for folder in FOLDERS[:9] + NO_FOLDERS),
    *(f"{TRAIN}{name}" for name in ("lost.jpg", "clickbait", "clickbait/", "../clickbait/a.jpg")),
]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("DATA_BUCKET", BUCKET)
    monkeypatch.setenv("TABLE", TABLE)
    monkeypatch.setenv("ACCESS", "public")
    settings.cache_clear()
    batches._names.cache_clear()
    monkeypatch.setattr(history, "_paused_until", 0.0)
    monkeypatch.setattr(retrain, "_succeeds", lambda step: True)
    with cloud_in_memory(BUCKET):
        yield aws.client("s3")
    monkeypatch.undo()
    settings.cache_clear()


def notify(handler: Any, *keys: str) -> None:
    """Send one message for each key, as S3 encodes it; none of them may fail."""
    records = [
        {
            "messageId": str(number),
            "body": json.dumps({"Records": [record(key)]}),
            "eventSource": "aws:sqs",
            "attributes": {"ApproximateReceiveCount": "1"},
        }
        for number, key in enumerate(keys)
    ]
    assert handler({"Records": records}, None) == {"batchItemFailures": []}


def record(key: str) -> dict[str, Any]:
    encoded_key = quote_plus(key, safe="/")
    place = {"bucket": {"name": BUCKET}, "object": {"key": encoded_key}}
    return {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": place}


def put(s3: Any, *keys: str) -> None:
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"" if key.endswith("/") else JPEG)


def test_every_odd_key_is_accounted_for(s3: Any) -> None:
    keys = sorted({key for key in KEYS if len(key.encode()) <= 1_024})
    assert len(keys) >= 100
    put(s3, *keys)
    notify(worker.handler, *(key for key in keys if key.startswith(INBOX)))
    notify(retrain.handler, *(key for key in keys if not key.startswith(INBOX)))

    present = {found["Key"] for found in aws.list_objects(BUCKET, "")}
    rows = {
        f"{INBOX}{folder}/{row.name}"
        for folder in [*FOLDERS, "b"]
        for row in Rows(TABLE, folder).read()
        if not row.failed
    }
    described = {item["sk"] for part in ("image#", "exam#") for item in aws.query(TABLE, part)}
    outcomes: dict[str, list[str]] = {key: [] for key in keys}
    for key in keys:
        if key in rows | described:
            outcomes[key].append("read")
            assert key in present
        if rejected_key(key) in present:
            outcomes[key].append("rejected")
            assert key not in present
            body = s3.get_object(Bucket=BUCKET, Key=f"{rejected_key(key)}.json")["Body"].read()
            reason = json.loads(body)
            assert reason["key"] == key
            assert len(reason["detail"]) > 20
        if key in present and (is_litter(key) or key.endswith("/")):
            outcomes[key].append("left alone")
    assert {key: found for key, found in outcomes.items() if len(found) != 1} == {}
    assert rows == {key for key in keys if batch_and_name(key)}
    for name in ("...Baby One More Time.jpg", ".5 seconds to live.jpg"):
        assert f"{INBOX}b/{name}" in rows
        assert f"{TRAIN}clickbait/{name}" in described
    assert not any(is_litter(key.removeprefix(REJECTED)) for key in present if REJECTED in key)


def test_a_folder_of_any_name_is_a_batch_with_an_address(s3: Any) -> None:
    client = TestClient(app.app)
    for folder in FOLDERS:
        if folder in ("50%25", "%2F"):
            continue  # The test client decodes an address twice.
        key = f"{INBOX}{folder}/a.jpg"
        put(s3, key)
        notify(worker.handler, key)
        address = f"/batches/{quote_plus(folder).replace('+', '%20')}"
        status = client.get(address)
        assert status.status_code == 200, (folder, status.text)
        assert (status.json()["id"], status.json()["state"]) == (folder, "finished")
        for link in status.json()["results"].values():
            assert client.get(link).status_code == 200, link
        assert client.get(f"{address}/results?format=csv").text.count("\r\n") == 2
        link = client.get(f"{address}/results?format=link")
        assert "url" in link.json(), link.text


def test_a_folder_from_macos_is_found_under_the_name_that_people_type(s3: Any) -> None:
    key = f"{INBOX}{normalize('NFD', CAFE)}/a.jpg"
    put(s3, key)
    notify(worker.handler, key)
    found = Batches(BUCKET, TABLE)
    assert found.id_of(CAFE) == normalize("NFD", CAFE)
    assert found.id_of("\u00e9") == "\u00e9"
    with pytest.raises(NotFound):
        found.progress(found.id_of("\u00e9"))


def test_a_file_that_was_named_in_nfc_and_dropped_in_nfd_is_one_row(s3: Any) -> None:
    batch = Batches(BUCKET, TABLE).create([f"{CAFE}.jpg", "b.jpg"])
    key = f"{INBOX}{batch}/{normalize('NFD', CAFE)}.jpg"
    put(s3, key, f"{INBOX}{batch}/b.jpg")
    notify(worker.handler, key, f"{INBOX}{batch}/b.jpg")
    progress = Batches(BUCKET, TABLE).start(batch)
    assert (progress.expected, progress.tally.done, progress.tally.failed) == (2, 2, 0)
    assert [row.file for row in Rows(TABLE, batch).read()] == [f"{CAFE}.jpg", "b.jpg"]


def test_names_that_only_differ_in_their_unicode_form_stay_two_files(s3: Any) -> None:
    names = [f"{CAFE}.jpg", normalize("NFD", f"{CAFE}.jpg")]
    batch = Batches(BUCKET, TABLE).create(names)
    keys = [f"{INBOX}{batch}/{name}" for name in names]
    put(s3, *keys)
    notify(worker.handler, *keys)
    assert [row.file for row in Rows(TABLE, batch).read()] == names
