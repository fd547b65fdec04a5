"""The stored probability of each labelled image."""

from collections.abc import Iterator

import pytest

from clickbait import aws
from clickbait.keys import ANSWERS
from clickbait.store import answers
from clickbait.store.answers import Answers
from tests.cloud import cloud_in_memory

A, B, C = "train/clickbait_fake/a.jpg", "train/clickbait_real/b.jpg", "exam/clickbait_real/c.jpg"


@pytest.fixture(autouse=True)
def cloud() -> Iterator[None]:
    with cloud_in_memory("models"):
        yield


def test_before_the_first_run_there_are_no_answers() -> None:
    assert answers.read("models") == Answers("", {})


def test_answers_are_read_as_they_were_written() -> None:
    written = answers.write("models", "v1", {A: ("1", 0.123456), C: ("3", 1.0)})
    assert answers.read("models") == written == Answers("v1", {A: ("1", 0.1235), C: ("3", 1.0)})


def test_a_new_answer_replaces_that_of_its_key_and_keeps_the_others() -> None:
    answers.write("models", "v1", {A: ("1", 0.1), B: ("2", 0.2)})
    answers.write("models", "v2", {A: ("9", 0.9)})
    assert answers.read("models") == Answers("v2", {A: ("9", 0.9), B: ("2", 0.2)})


def test_answers_of_deleted_and_replaced_images_are_dropped() -> None:
    answers.write("models", "v1", {A: ("1", 0.1), B: ("2", 0.2), C: ("3", 0.3)})
    answers.write("models", "v2", {}, {A: "1", B: "another"})
    assert answers.read("models").images == {A: ("1", 0.1)}


def test_an_image_keeps_its_answer_when_its_key_changes() -> None:
    answers.write("models", "v1", {A: ("1", 0.1), B: ("2", 0.2)})
    assert answers.read("models").by_etag() == {"1": 0.1, "2": 0.2}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"version": "v", "images": {"a": 1}}', b"\xff"]
)
def test_a_damaged_object_counts_as_none_and_is_written_again(body: bytes) -> None:
    aws.client("s3").put_object(Bucket="models", Key=ANSWERS, Body=body)
    assert answers.read("models") == Answers()
    answers.write("models", "v1", {A: ("1", 0.5)})
    assert answers.read("models").version == "v1"
