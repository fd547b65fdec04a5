"""dataset_stats: the figures of a class are numpy's, and duplicates are found."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from moto import mock_aws

from clickbait import aws
from clickbait.store import dataset_stats
from clickbait.store.dataset_stats import waiting
from clickbait.store.trained import Trained
from tests.cloud import create_table


def image(key: str, **changes: Any) -> dict[str, Any]:
    item = {
        "key": key, "label": "clickbait_fake", "etag": key, "format": "JPEG", "sha256": key,
        "phash": "00000000ffff0000", "at": "2026-11-22T00:00:00+00:00",
        "bytes": 1000.0, "width": 640.0, "height": 360.0,
        "brightness": 100.0, "contrast": 50.0, "saturation": 0.5, "colourfulness": 40.0,
    }  # fmt: skip
    return item | changes


def describe(images: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The description, with links that name their keys."""
    return dataset_stats.describe(images, "address of {}".format)


def test_classes_are_counted_and_their_spread_is_reported() -> None:
    images = [image(f"a{n}", brightness=float(n), width=100.0 * n) for n in range(1, 5)]
    images.append(image("b", label="clickbait_real", format="PNG"))
    result = describe(images)
    assert result["images"] == 5
    assert result["counts"] == {"clickbait_real": 1, "clickbait_fake": 4}
    fake = result["classes"]["clickbait_fake"]
    assert fake["formats"] == {"JPEG": 4}
    values = np.array([1.0, 2, 3, 4])
    assert fake["brightness"]["mean"] == 2.5
    assert fake["brightness"]["sd"] == pytest.approx(values.std(), abs=1e-4)
    assert (fake["brightness"]["min"], fake["brightness"]["max"]) == (1, 4)
    assert fake["brightness"]["percentiles"]["p95"] == pytest.approx(np.percentile(values, 95))
    histogram = fake["width"]["histogram"]
    assert sum(histogram["counts"]) == 4
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    # The same edges for both classes, so that they can be compared.
    assert histogram["edges"] == result["classes"]["clickbait_real"]["width"]["histogram"]["edges"]


def test_values_beyond_a_histogram_count_in_its_last_bin() -> None:
    counts = describe([image("a", colourfulness=230.0)])["classes"]["clickbait_fake"]
    assert counts["colourfulness"]["histogram"]["counts"][-1] == 1


def test_an_empty_data_set_is_described_too() -> None:
    result = describe([])
    assert result["counts"] == {"clickbait_real": 0, "clickbait_fake": 0}
    fake = result["classes"]["clickbait_fake"]
    assert fake["brightness"]["mean"] is None
    assert set(fake["brightness"]["percentiles"].values()) == {None}
    assert sum(fake["bytes"]["histogram"]["counts"]) == 0
    assert result["duplicates"]["near"]["families"] == 0


def test_copies_are_reported_and_flagged_if_their_labels_differ() -> None:
    result = describe(
        [
            image("a", sha256="1"),
            image("b", sha256="1"),
            image("c", sha256="2", label="clickbait_real"),
            image("d", sha256="2"),
            image("e", sha256="2"),
            image("f", sha256="3"),
        ]
    )["duplicates"]["identical"]
    assert (result["families"], result["images"]) == (2, 5)
    assert result["items"][0] == {
        "images": 3,
        "labels": ["clickbait_fake", "clickbait_real"],
        "keys": ["c", "d", "e"],
        "looks": [{"key": key, "url": f"address of {key}"} for key in ("c", "d", "e")],
    }
    assert result["items"][1]["keys"] == ["a", "b"]


def test_images_are_one_family_up_to_4_differing_bits_and_not_at_5() -> None:
    def near(*hashes: int) -> dict[str, Any]:
        images = [image(str(n), phash=f"{h:016x}") for n, h in enumerate(hashes)]
        return describe(images)["duplicates"]["near"]

    base = 0x00000000FFFFFFFF
    assert near(base, base ^ 0b1111)["items"][0]["keys"] == ["0", "1"]
    assert near(base, base ^ 0b11111)["families"] == 0
    # A chain is one family, although its ends are 8 bits apart.
    assert near(base, base ^ 0b1111, base ^ 0b11111111)["items"][0]["images"] == 3
    # Flat images share a hash of almost no edges, whatever their colour.
    assert near(0, 0, 1)["families"] == 0
    assert near(base, base)["compared"] == 2


def test_identical_copies_are_no_family_of_similar_images() -> None:
    images = [image("a", sha256="1"), image("b", sha256="1")]
    assert describe(images)["duplicates"]["near"]["families"] == 0


def test_large_families_and_long_lists_are_cut_but_counted() -> None:
    images = [image(f"{n:04}", sha256="1") for n in range(50)]
    images += [image(f"{kind}{n}", sha256=f"s{n}") for n in range(150) for kind in "xy"]
    result = describe(images)["duplicates"]["identical"]
    assert (result["families"], result["images"]) == (151, 350)
    assert len(result["items"]) == dataset_stats.FAMILIES_SHOWN
    assert result["items"][0]["images"] == 50
    assert len(result["items"][0]["keys"]) == dataset_stats.KEYS_SHOWN
    links = [one["key"] for one in result["items"][0]["looks"]]
    assert links == result["items"][0]["keys"][:4]


def samples(images: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    classes = describe(images)["classes"]
    return {label: [one["key"] for one in result["samples"]] for label, result in classes.items()}


def test_eight_samples_of_a_class_have_links_and_stay_the_same() -> None:
    images = [image(f"f{n:02}", sha256=f"{37 * n % 20:02}") for n in range(20)]
    images += [image(f"r{n}", label="clickbait_real", sha256=str(n)) for n in range(3)]
    before = samples(images)
    assert before["clickbait_real"] == ["r0", "r1", "r2"]
    assert len(before["clickbait_fake"]) == 8
    assert samples(images[::-1]) == before
    more = [image(f"x{n}", sha256=f"2{n}") for n in range(5)]
    assert samples(more + images) == before
    gone = before["clickbait_fake"][3]
    after = samples([one for one in images if one["key"] != gone])["clickbait_fake"]
    assert after[:7] == [key for key in before["clickbait_fake"] if key != gone]
    assert len(after) == 8


def test_a_copy_is_not_a_second_sample() -> None:
    images = [image(key, sha256="1") for key in "cab"] + [image("d", sha256="2")]
    assert samples(images)["clickbait_fake"] == ["a", "d"]


def test_images_wait_until_a_run_has_trained_on_them() -> None:
    keys = ("train/clickbait/a", "train/clickbait/b", "train/legitimate/c")
    known = Trained({keys[0]: frozenset({"clickbait_fake"})})
    assert waiting([image(key) for key in keys], known) == {
        "images": 2,
        "counts": {"clickbait_real": 1, "clickbait_fake": 1},
    }


def test_ten_thousand_images_are_described_in_seconds() -> None:
    rng = np.random.default_rng(0)
    images = [
        image(str(n), phash=f"{int(h):016x}")
        for n, h in enumerate(rng.integers(0, 2**63, 10_000, dtype=np.int64))
    ]
    alike = [image(str(n)) for n in range(10_000)]
    for crowd in (images, alike):
        started = time.process_time()
        describe(crowd)
        assert time.process_time() - started < 5


@pytest.fixture
def table() -> Iterator[Any]:
    """A table named `t`."""
    with mock_aws():
        db = aws.client("dynamodb")
        create_table("t")
        yield db


def item(key: str, **changes: Any) -> dict[str, Any]:
    """`image` as an item of the table."""
    whole = {k: v for k, v in image(key, **changes).items() if k != "key"}
    item = {k: {"S": v} if isinstance(v, str) else {"N": str(v)} for k, v in whole.items()}
    return item | {"pk": {"S": "image#"}, "sk": {"S": key}}


def test_items_are_read_as_numbers_and_incomplete_ones_are_left_out(table: Any) -> None:
    whole = item("train/clickbait/a.jpg")
    lacks = {k: v for k, v in whole.items() if k != "phash"} | {"sk": {"S": "b"}}
    for each in (whole, lacks, whole | {"pk": {"S": "run#"}}):
        table.put_item(TableName="t", Item=each)
    (found,) = dataset_stats.read_images("t")
    assert found["key"] == "train/clickbait/a.jpg"
    assert found["brightness"] == 100.0
    assert describe([found])["images"] == 1


def test_keys_that_are_images_now_are_returned_with_their_hashes(table: Any) -> None:
    for key in ("train/clickbait/a.jpg", "train/clickbait/b.jpg", "train/legitimate/c.jpg"):
        table.put_item(TableName="t", Item=item(key, sha256=f"hash of {key}"))
    asked = ["train/legitimate/c.jpg", "train/clickbait/a.jpg", "train/clickbait/gone.jpg"]
    assert dataset_stats.training_images("t", [*asked, *asked, "clickbait_fake/a.jpg", ""]) == {
        key: f"hash of {key}" for key in asked[:2]
    }
    many = [f"train/clickbait/{n}.jpg" for n in range(100)]
    assert dataset_stats.training_images("t", many) == {}


def test_the_table_is_not_read_if_no_key_is_in_the_drop_folder(monkeypatch) -> None:
    monkeypatch.setattr(aws, "client", lambda _: pytest.fail("nothing to ask"))
    assert dataset_stats.training_images("t", ["clickbait_fake/a.jpg"]) == {}
    assert dataset_stats.training_images("t", []) == {}
