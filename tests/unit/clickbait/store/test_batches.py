"""batches: the rows decide, results are written once all have arrived, and nothing counts twice."""

import csv
import io
import itertools
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clickbait import LABELS, aws
from clickbait.errors import BadRequest, Conflict, NotFound
from clickbait.keys import batch_and_name
from clickbait.settings import settings
from clickbait.store import batches, presigned, results
from clickbait.store.batches import NEVER_ARRIVED, Batches
from clickbait.store.results import Row
from clickbait.store.rows import Rows, now
from tests.cloud import TABLE, cloud_in_memory

BUCKET = "data"


class Cloud:
    """A data bucket and a table, with a worker that needs no model."""

    def __init__(self) -> None:
        self.s3, self.db = aws.client("s3"), aws.client("dynamodb")
        self.batches = Batches(BUCKET, TABLE)

    def put(self, key: str, body: bytes = b"image") -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def drop(self, batch: str, *names: str) -> None:
        for name in names:
            self.put(f"inbox/{batch}/{name}", name.encode())

    def work(self, batch: str, *names: str, error: str | None = None) -> None:
        """Do the work of one call of the worker."""
        known = self.batches.names_of(batch)
        outcomes = [self.row(batch, *known.row_of(name), error=error) for name in names]
        new = outcomes.count("new")
        self.batches.record_rows(batch, new, again=len(outcomes) - new)

    def row(self, batch: str, name: str, file: str, error: str | None = None) -> str:
        fields: dict[str, Any] = {"error": error} if error else {
            "prediction": LABELS[len(file) % 2], "probability": 0.5, "confidence": 0.5,
            "uncertain": True, "model_version": "v",
        }  # fmt: skip
        row = Row(name, file, now(), etag="e", modified="2026", **fields)
        return Rows(TABLE, batch).put(row)

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [one["Key"] for one in found]

    def csv(self, batch: str) -> list[dict[str, str]]:
        body = self.s3.get_object(Bucket=BUCKET, Key=f"results/{batch}/results.csv")["Body"].read()
        return list(csv.DictReader(io.StringIO(body.decode(), newline="")))

    def watched(self, service: str, operation: str) -> list[Any]:
        calls: list[Any] = []
        client = aws.client(service)
        client.meta.events.register(
            f"before-call.{service}.{operation}", lambda params, **_: calls.append(params)
        )
        return calls


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setenv("DATA_BUCKET", BUCKET)
    monkeypatch.setenv("TABLE", TABLE)
    settings.cache_clear()
    batches._names.cache_clear()
    batches._followed.clear()
    with cloud_in_memory(BUCKET):
        yield Cloud()
    monkeypatch.undo()
    settings.cache_clear()


# --- batches and their files ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("inbox/b/a.jpg", ("b", "a.jpg")),
        ("inbox/my-batch_1.2/deep/er/a b.jpg", ("my-batch_1.2", "deep/er/a b.jpg")),
        (f"inbox/{'x' * 64}/a", ("x" * 64, "a")),
        ("inbox/b/é😀", ("b", "é😀")),
        (f"inbox/{'x' * 900}/a", ("x" * 900, "a")),
        (f"inbox/{'x' * 901}/a", None),
        ("inbox/b/...Baby One More Time.jpg", ("b", "...Baby One More Time.jpg")),
        ("inbox/b/.5 seconds to live.jpg", ("b", ".5 seconds to live.jpg")),
        ("inbox/my batch/a.jpg", ("my batch", "a.jpg")),
        ("inbox/Photos (2)+é[1]/a.jpg", ("Photos (2)+é[1]", "a.jpg")),
        ("inbox/.b/a.jpg", (".b", "a.jpg")),
        ("inbox/b/__MACOSX/._a.jpg", None),
        ("inbox/b/THUMBS.DB", None),
        ("inbox/b/../a.jpg", None),
        ("inbox/a\nb/a.jpg", None),
        ("inbox/a.jpg", None),
        ("inbox/b/", None),
        ("inbox/b/deep/", None),
        ("inbox/b/.DS_Store", None),
        ("inbox/b/.git/a.jpg", None),
        ("inbox/../a.jpg", None),
        ("inbox//a.jpg", None),
        ("train/b/a.jpg", None),
    ],
)
def test_a_folder_in_the_inbox_is_a_batch_of_the_files_in_it(
    key: str, place: tuple[str, str] | None
) -> None:
    assert batch_and_name(key) == place


# --- created from names --------------------------------------------------------------------------


def test_any_names_are_kept_and_never_used_as_keys(cloud: Cloud) -> None:
    names = ["a.jpg", "../../train/x", '=1+1,"b"\n', "é😀", "a.jpg"]
    batch = cloud.batches.create(names)
    forms, following = cloud.batches.forms(batch)
    assert [form["file"] for form in forms] == names
    assert following is None
    assert [form["key"] for form in forms] == [
        f"inbox/{batch}/{i:05d}.{batch[-8:]}" for i in range(5)
    ]
    cloud.work(batch, *(form["key"].split("/")[2] for form in forms))
    assert [row.file for row in Rows(TABLE, batch).read()] == names


def test_ten_thousand_files_are_one_batch_with_forms_in_pages(cloud: Cloud) -> None:
    batch = cloud.batches.create([f"{i}.jpg" for i in range(10_000)])
    forms, following = cloud.batches.forms(batch, 9_850)
    assert len(forms) == presigned.MAX_FORMS
    assert following == 9_950
    forms, following = cloud.batches.forms(batch, following)
    assert (len(forms), forms[-1]["file"], following) == (50, "9999.jpg", None)
    for beyond in (10_000, -1):
        with pytest.raises(BadRequest):
            cloud.batches.forms(batch, beyond)
    assert cloud.batches.progress(batch).expected == 10_000


def test_a_form_s_type_follows_the_name_and_any_name_has_one(cloud: Cloud) -> None:
    batch = cloud.batches.create(["a.PNG", "b.jpeg", "c.webp", "d", "e.gif"])
    types = [form["fields"]["Content-Type"] for form in cloud.batches.forms(batch)[0]]
    other = "application/octet-stream"
    assert types == ["image/png", "image/jpeg", "image/webp", other, other]


def test_a_batch_is_open_then_running_then_finished(cloud: Cloud) -> None:
    batch = cloud.batches.create(["a.jpg", "b.jpg"])
    first, second = (form["key"] for form in cloud.batches.forms(batch)[0])
    progress = cloud.batches.refresh(batch).as_dict()
    assert (progress["state"], progress["expected"], progress["done"]) == ("open", 2, 0)
    assert (
        progress["rate"]
        is progress["seconds_left"]
        is progress["started"]
        is progress["finished"]
        is None
    )
    for key in (first, second):
        cloud.put(key)
    cloud.work(batch, first.split("/")[2])
    progress = cloud.batches.start(batch).as_dict()
    assert (progress["state"], progress["done"], progress["failed"]) == ("running", 1, 0)
    assert progress["started"]
    assert progress["seconds_left"] >= 0
    assert cloud.keys(f"results/{batch}/") == [f"results/{batch}/files.json"]
    cloud.work(batch, second.split("/")[2], error="The JPEG does not decode.")
    progress = cloud.batches.refresh(batch).as_dict()
    assert (progress["state"], progress["done"], progress["failed"]) == ("finished", 1, 1)
    assert sum(progress["counts"].values()) == 1
    assert progress["seconds_left"] == 0
    assert progress["finished"] >= progress["started"] >= progress["created"]


def test_files_that_never_arrived_get_rows_with_an_error(cloud: Cloud) -> None:
    batch = cloud.batches.create(["a.jpg", "b.jpg", "c.jpg"])
    keys = [form["key"] for form in cloud.batches.forms(batch)[0]]
    cloud.put(keys[1])  # The object exists, and its message is still on its way.
    progress = cloud.batches.start(batch).as_dict()
    assert (progress["state"], progress["expected"], progress["failed"]) == ("running", 3, 2)
    cloud.work(batch, keys[1].split("/")[2])
    progress = cloud.batches.refresh(batch).as_dict()
    assert (progress["state"], progress["done"], progress["failed"]) == ("finished", 1, 2)
    assert [(row["file"], row["error"]) for row in cloud.csv(batch)] == [
        ("a.jpg", NEVER_ARRIVED), ("b.jpg", ""), ("c.jpg", NEVER_ARRIVED),
    ]  # fmt: skip


def test_starting_a_batch_again_changes_nothing(cloud: Cloud) -> None:
    batch = cloud.batches.create(["a.jpg"])
    first = cloud.batches.start(batch).as_dict()
    again = cloud.batches.start(batch).as_dict()
    assert first["state"] == "finished"
    assert again == first
    with pytest.raises(Conflict, match="started"):
        cloud.batches.forms(batch)


def test_the_next_start_finishes_one_that_was_killed_half_way(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "TRANSACTION", 2)
    batch = cloud.batches.create([f"{i}" for i in range(5)])
    put_missing = Rows.put_missing
    calls = []

    def killed(self: Rows, rows: list[Row]) -> int:
        calls.append(rows)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return put_missing(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Rows, "put_missing", killed)
        with pytest.raises(KeyboardInterrupt):
            cloud.batches.start(batch)
    assert cloud.batches.refresh(batch).as_dict()["state"] == "open"
    progress = cloud.batches.start(batch).as_dict()
    assert (progress["state"], progress["failed"]) == ("finished", 5)


def test_a_file_that_arrives_late_replaces_its_row(cloud: Cloud) -> None:
    batch = cloud.batches.create(["a.jpg", "b.jpg"])
    name = cloud.batches.forms(batch)[0][0]["key"].split("/")[2]
    cloud.batches.start(batch)
    assert [row["error"] for row in cloud.csv(batch)] == [NEVER_ARRIVED] * 2
    cloud.work(batch, name)
    progress = cloud.batches.refresh(batch).as_dict()
    assert (progress["expected"], progress["done"], progress["failed"]) == (2, 1, 1)
    assert [row["error"] for row in cloud.csv(batch)] == ["", NEVER_ARRIVED]


@pytest.mark.parametrize("due", [None, 4])
def test_a_late_file_is_in_the_results_without_a_call_of_the_api(
    cloud: Cloud, due: int | None
) -> None:
    batch = cloud.batches.create([f"{i}.jpg" for i in range(4)])
    names = [form["key"].split("/")[2] for form in cloud.batches.forms(batch)[0]]
    cloud.work(batch, names[0])
    cloud.batches.start(batch)
    if due:  # As version 0.1.0 left it.
        cloud.batches._update_head(batch, "SET due = :due", {":due": due})
    for done in (2, 3):
        cloud.work(batch, names[done - 1])
        assert [row["error"] for row in cloud.csv(batch)].count("") == done


def test_named_files_may_also_be_dropped_into_the_folder(cloud: Cloud) -> None:
    batch = cloud.batches.create(["a.jpg", "sub/b.jpg", "c.jpg"])
    cloud.drop(batch, "a.jpg", "sub/b.jpg", "another.jpg")
    cloud.work(batch, "a.jpg", "sub/b.jpg", "another.jpg")
    progress = cloud.batches.start(batch).as_dict()
    assert (progress["expected"], progress["done"], progress["failed"]) == (4, 3, 1)
    assert {row["file"]: row["error"] for row in cloud.csv(batch)} == {
        "a.jpg": "", "sub/b.jpg": "", "another.jpg": "", "c.jpg": NEVER_ARRIVED,
    }  # fmt: skip


def test_a_dropped_file_is_not_mistaken_for_an_uploaded_one(cloud: Cloud) -> None:
    batch = cloud.batches.create(["a.jpg", "b.jpg"])
    cloud.drop(batch, "00000.ffffffff")
    cloud.work(batch, "00000.ffffffff")
    (row,) = Rows(TABLE, batch).read()
    assert row.file == "00000.ffffffff"
    assert cloud.batches.progress(batch).expected == 3


# --- created by dropping a folder ----------------------------------------------------------------


def test_a_folder_is_a_batch_from_its_first_object(cloud: Cloud) -> None:
    with pytest.raises(NotFound):
        cloud.batches.progress("holiday")
    cloud.drop("holiday", "a.jpg")
    progress = cloud.batches.refresh("holiday").as_dict()
    assert (progress["state"], progress["source"], progress["expected"]) == ("running", "folder", 1)
    assert progress["created"]
    assert progress["done"] == progress["failed"] == 0


def test_folders_and_litter_are_not_a_batch(cloud: Cloud) -> None:
    for key in ("inbox/b/", "inbox/b/.DS_Store", "inbox/c.jpg"):
        cloud.put(key, b"")
    for batch in ("b", "c.jpg", "", "..", "a b", "x" * 901, "ab/"):
        with pytest.raises(NotFound):
            cloud.batches.refresh(batch)
        with pytest.raises(NotFound):
            cloud.batches.start(batch)
        with pytest.raises(NotFound):
            cloud.batches.forms(batch)
        with pytest.raises(NotFound):
            cloud.batches.rows(batch, None, 10)
    assert cloud.db.scan(TableName=TABLE)["Items"] == []


def test_a_folder_expects_the_listed_files_and_finishes_again_after_more_arrive(
    cloud: Cloud,
) -> None:
    cloud.drop("b", "a.jpg")
    cloud.work("b", "a.jpg")
    assert cloud.batches.refresh("b").state == "finished"
    assert len(cloud.csv("b")) == 1
    cloud.drop("b", "c.jpg", "sub/d.jpg", ".DS_Store")
    progress = cloud.batches.refresh("b").as_dict()
    assert (progress["state"], progress["expected"], progress["done"]) == ("running", 3, 1)
    cloud.work("b", "c.jpg", "sub/d.jpg")
    assert [row["file"] for row in cloud.csv("b")] == ["a.jpg", "c.jpg", "sub/d.jpg"]


def test_a_file_that_is_deleted_after_its_row_is_written_still_counts(cloud: Cloud) -> None:
    cloud.drop("b", "a.jpg", "c.jpg")
    cloud.work("b", "a.jpg", "c.jpg")
    for name in ("a.jpg", "c.jpg"):
        cloud.s3.delete_object(Bucket=BUCKET, Key=f"inbox/b/{name}")
    progress = cloud.batches.refresh("b").as_dict()
    assert (progress["state"], progress["expected"], progress["done"]) == ("finished", 2, 2)


def test_a_file_that_is_deleted_before_it_is_read_does_not_keep_the_batch_running(
    cloud: Cloud,
) -> None:
    cloud.drop("b", "a.jpg", "c.jpg")
    cloud.work("b", "a.jpg")
    cloud.s3.delete_object(Bucket=BUCKET, Key="inbox/b/c.jpg")
    cloud.batches.record_rows("b", 0, again=1)  # As the worker does for an object that is gone.
    assert cloud.csv("b")


def test_a_folder_has_no_forms_and_may_be_started(cloud: Cloud) -> None:
    cloud.drop("b", "a.jpg")
    with pytest.raises(Conflict, match="folder"):
        cloud.batches.forms("b")
    assert cloud.batches.start("b").as_dict()["started"]


# --- followed ------------------------------------------------------------------------------------


def follow(cloud: Cloud, done: int, state: str = "running") -> bool:
    """True if `follow` gives `done` rows and this state."""
    progress = cloud.batches.follow("b")
    return (progress.tally.done, progress.state) == (done, state)


@pytest.mark.parametrize("large", [3, 4])
def test_counts_of_a_large_running_batch_are_reused_until_it_finishes(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(batches, "LARGE", large)
    for name in ("REUSED", "REUSED_SECONDS"):
        monkeypatch.setattr(batches, name, 1e9)
    names = [f"{i}.jpg" for i in range(5)]
    cloud.drop("b", *names)
    cloud.work("b", *names[:3])
    assert follow(cloud, 3)
    cloud.work("b", names[3])
    assert follow(cloud, 3 if large == 3 else 4)
    cloud.batches.start("b")
    assert follow(cloud, 4)
    cloud.work("b", names[4])
    assert follow(cloud, 5, "finished")


def test_counts_are_reused_no_longer_than_counting_takes_a_few_times(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LARGE", 1)
    monkeypatch.setattr(batches, "REUSED", 0)
    cloud.drop("b", "a.jpg", "b.jpg", "c.jpg")
    for done, name in enumerate(["a.jpg", "b.jpg"], 1):
        cloud.work("b", name)
        assert follow(cloud, done)


# --- counted once --------------------------------------------------------------------------------


def test_a_message_delivered_twice_counts_once(cloud: Cloud) -> None:
    cloud.drop("b", "a.jpg", "c.jpg")
    for _ in range(3):
        cloud.work("b", "a.jpg")
    progress = cloud.batches.refresh("b").as_dict()
    assert (progress["expected"], progress["done"], progress["state"]) == (2, 1, "running")


def test_messages_that_come_twice_do_not_have_all_rows_counted_each_time(cloud: Cloud) -> None:
    names = [f"{i:02d}.jpg" for i in range(40)]
    cloud.drop("b", *names)
    cloud.work("b", names[0])
    counts = cloud.watched("dynamodb", "Query")
    for before, name in itertools.pairwise(names):
        cloud.work("b", before, name)
    assert len(cloud.csv("b")) == len(names)
    assert len(counts) < len(names) / 2


def test_the_next_message_writes_the_results_of_a_killed_worker(
    cloud: Cloud,
) -> None:
    cloud.drop("b", "a.jpg", "c.jpg")
    cloud.work("b", "a.jpg")
    cloud.row("b", "c.jpg", "c.jpg")  # Then the worker was killed.
    assert cloud.keys("results/") == []
    cloud.work("b", "c.jpg")  # The message comes again.
    assert len(cloud.csv("b")) == 2


def test_the_next_status_request_writes_the_results_of_a_killed_worker(
    cloud: Cloud,
) -> None:
    cloud.drop("b", "a.jpg")
    cloud.row("b", "a.jpg", "a.jpg")
    assert cloud.batches.refresh("b").state == "finished"
    assert len(cloud.csv("b")) == 1


def test_a_worker_killed_in_the_middle_does_not_keep_the_last_one_from_finishing(
    cloud: Cloud,
) -> None:
    """A batch must finish although some rows were never added to `seen`."""
    names = [f"{i}.jpg" for i in range(9)]
    cloud.drop("b", *names)
    cloud.work("b", *names[:3])
    cloud.row("b", names[3], names[3])  # Killed before it could record this,
    cloud.work("b", *names[4:6])
    cloud.work("b", names[3])  # and its message comes again.
    cloud.work("b", *names[6:])
    assert len(cloud.csv("b")) == 9


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("named", [True, False])
def test_the_last_message_leaves_whole_results_whatever_is_killed_or_repeated(
    cloud: Cloud, seed: int, named: bool
) -> None:
    """Without a call of the API, the workers must finish alone, in any order of events."""
    chance = random.Random(seed)
    files = [f"{i:02d}.jpg" for i in range(8)]
    batch = cloud.batches.create(files) if named else "b"
    queue: list[str] = []
    late = files.copy()
    while queue or late:
        while late and chance.random() < 0.6:
            cloud.drop(batch, late[0])
            queue += [late.pop(0)] * chance.choice([1, 1, 1, 2])
        chance.shuffle(queue)
        call, queue = queue[:3], queue[3:]
        if not call:
            continue
        if chance.random() < 0.3:  # Killed after some of its rows: all its messages come again.
            known = cloud.batches.names_of(batch)
            for name in call[: chance.randint(0, 3)]:
                cloud.row(batch, *known.row_of(name))
            queue += call
        else:
            cloud.work(batch, *call)
    assert [row["file"] for row in cloud.csv(batch)] == files


def test_results_are_not_written_again_while_the_rows_are_the_same(cloud: Cloud) -> None:
    cloud.drop("b", "a.jpg")
    cloud.work("b", "a.jpg")
    puts = cloud.watched("s3", "PutObject")
    for _ in range(3):
        cloud.batches.refresh("b")
        cloud.work("b", "a.jpg")
    assert puts == []


def test_a_row_written_while_results_are_written_is_in_them(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.drop("b", "a.jpg")
    write = results.write

    def slow(bucket: str, batch: str, rows: Any) -> None:
        write(bucket, batch, rows)
        cloud.drop("b", "z.jpg")
        cloud.row("b", "z.jpg", "z.jpg")

    monkeypatch.setattr(results, "write", slow)
    cloud.work("b", "a.jpg")
    assert [row["file"] for row in cloud.csv("b")] == ["a.jpg", "z.jpg"]


def test_rows_are_counted_only_when_a_batch_may_be_finished(cloud: Cloud) -> None:
    names = [f"{i:03d}.jpg" for i in range(60)]
    cloud.drop("b", *names)
    queries = cloud.watched("dynamodb", "Query")
    for i in range(0, 60, 10):
        cloud.work("b", *names[i : i + 10])
    # At the first message, and at the last: counted, written, and counted again.
    assert len(queries) == 4
    assert len(cloud.csv("b")) == 60


def test_a_named_batch_is_counted_only_at_its_last_file(cloud: Cloud) -> None:
    batch = cloud.batches.create([f"{i}.jpg" for i in range(4)])
    queries = cloud.watched("dynamodb", "Query")
    for i in range(4):
        assert queries == []
        cloud.work(batch, f"{i}.jpg")
    assert len(cloud.csv(batch)) == 4


# --- rate ----------------------------------------------------------------------------------------


class Noon(datetime):
    """Stands in for `datetime`. Its time does not pass, however busy the machine is."""

    @classmethod
    def now(cls, tz: Any = None) -> "Noon":
        return cls(2026, 11, 22, 12, tzinfo=tz)


def progress_of(cloud: Cloud, ages: list[float], expected: int) -> Any:
    """A batch whose rows have these ages in seconds."""
    moment = Noon.now(UTC)
    for i, age in enumerate(ages):
        at = (moment - timedelta(seconds=age)).isoformat(timespec="milliseconds")
        fields = {"prediction": LABELS[0], "etag": "e", "modified": "2026"}
        Rows(TABLE, "b").put(Row(f"{i}", f"{i}", at, **fields))
    cloud.drop("b", *(f"{i}" for i in range(expected)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "datetime", Noon)
        return cloud.batches.progress("b").as_dict()


def test_the_rate_is_that_of_the_last_minute(cloud: Cloud) -> None:
    progress = progress_of(cloud, [1_000, 900, *[30.0] * 30], 92)
    assert (progress["rate"], progress["seconds_left"]) == (0.5, 120)


def test_the_rate_of_a_young_batch_is_that_since_its_first_row(cloud: Cloud) -> None:
    progress = progress_of(cloud, [10, 5, 4, 3, 2], 10)
    assert (progress["rate"], progress["seconds_left"]) == (0.5, 10)


def test_the_rate_of_a_stalled_batch_is_zero_and_its_time_left_is_unknown(
    cloud: Cloud,
) -> None:
    progress = progress_of(cloud, [500, 400], 3)
    assert progress["rate"] == 0
    assert progress["seconds_left"] is None


def test_the_rate_of_a_finished_batch_is_its_average(cloud: Cloud) -> None:
    progress = progress_of(cloud, [900, 890, 880], 3)
    assert progress["rate"] == 0.15


def test_the_names_are_stored_as_they_were_sent(cloud: Cloud) -> None:
    batch = cloud.batches.create(["é\n", "b"])
    body = cloud.s3.get_object(Bucket=BUCKET, Key=f"results/{batch}/files.json")["Body"].read()
    assert json.loads(body) == ["é\n", "b"]
