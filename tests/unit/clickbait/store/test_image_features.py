"""Features of labelled images are computed once and kept."""

from collections.abc import Iterator

import numpy as np
import pytest

from clickbait import aws
from clickbait.learning.features import FeatureReader
from clickbait.settings import CHECKOUT_BASELINE
from clickbait.store import image_features
from clickbait.store.image_features import FeatureStore
from tests.cloud import cloud_in_memory
from tests.samples import small
from tests.samples.drawn import encoded, picture

READER = FeatureReader((CHECKOUT_BASELINE / "model.tflite").read_bytes())


class Images:
    """Images in the data bucket, and how many of them were read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = FeatureStore("data", "models", "anchor", READER)
        self.described = 0
        describe = FeatureStore._describe

        def counted(store: FeatureStore, data: bytes, group: str) -> image_features.ImageFeatures:
            self.described += 1
            return describe(store, data, group)

        monkeypatch.setattr(FeatureStore, "_describe", counted)

    def put(self, key: str, data: bytes, **metadata: str) -> None:
        aws.client("s3").put_object(Bucket="data", Key=key, Body=data, Metadata=metadata)

    def listing(self) -> dict[str, str]:
        return {f["Key"]: f["ETag"].strip('"') for f in aws.list_objects("data", "train/")}


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> Iterator[Images]:
    with cloud_in_memory("data", "models"):
        yield Images(monkeypatch)


def drawing(seed: int) -> bytes:
    return encoded(picture((160, 90), seed))


def test_each_network_gets_its_own_size_and_sketches_can_be_compared(images: Images) -> None:
    images.put("train/clickbait/a.jpg", drawing(0))
    shipped = images.store.read(images.listing())["train/clickbait/a.jpg"]
    other = FeatureStore("data", "models", "small", FeatureReader(small.MODEL))
    of_224 = other.read(images.listing())["train/clickbait/a.jpg"]
    assert len(of_224.features) == 16 < len(shipped.features)
    assert of_224.sketch.hash == shipped.sketch.hash
    assert of_224.appearance == shipped.appearance


def test_an_image_is_read_once_whatever_its_name_and_label(images: Images) -> None:
    images.put("train/clickbait/a.jpg", drawing(0), group="a film")
    first = images.store.read(images.listing())["train/clickbait/a.jpg"]
    images.put("train/legitimate/b.jpg", drawing(0))
    again = images.store.read(images.listing())
    assert images.described == 1 and set(again) == {
        "train/clickbait/a.jpg",
        "train/legitimate/b.jpg",
    }
    for found in again.values():
        assert (found.sha256, found.group, found.logit) == (first.sha256, "a film", first.logit)
        assert np.array_equal(found.features, first.features)
        assert np.array_equal(found.sketch.small, first.sketch.small)
        assert (found.sketch.hash, found.sketch.mirrored) == (
            first.sketch.hash,
            first.sketch.mirrored,
        )
        assert found.appearance == pytest.approx(first.appearance)


def test_unreadable_and_replaced_images_are_left_out_with_the_reason(images: Images) -> None:
    images.put("train/clickbait/good.jpg", drawing(0))
    images.put("train/clickbait/bad.jpg", b"no image")
    images.put("train/clickbait/gone.jpg", drawing(1))
    listing = images.listing()
    images.put("train/clickbait/gone.jpg", drawing(2))
    assert set(images.store.read(listing)) == {"train/clickbait/good.jpg"}
    assert set(images.store.problems) == {"train/clickbait/bad.jpg", "train/clickbait/gone.jpg"}
    assert "replaced" in images.store.problems["train/clickbait/gone.jpg"]


def test_features_of_removed_images_are_dropped_when_others_are_stored(images: Images) -> None:
    for seed in range(2):
        images.put(f"train/clickbait/{seed}.jpg", drawing(seed))
        images.store.read(images.listing())
        aws.client("s3").delete_object(Bucket="data", Key="train/clickbait/0.jpg")
    images.put("train/clickbait/0.jpg", drawing(0))
    images.store.read(images.listing())
    assert images.described == 3


def test_damaged_features_are_computed_again(images: Images) -> None:
    images.put("train/clickbait/a.jpg", drawing(0))
    images.store.read(images.listing())
    aws.client("s3").put_object(Bucket="models", Key=images.store.key, Body=b"damaged")
    assert images.store.read(images.listing()) and images.described == 2


def test_a_killed_reader_repeats_only_what_was_not_stored_yet(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_features, "READERS", 2)
    monkeypatch.setattr(image_features, "SAVED_EVERY", 2)
    for seed in range(6):
        images.put(f"train/clickbait/{seed}.jpg", drawing(seed))

    def stop(done: int, new: int) -> None:
        assert new == 6
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        images.store.read(images.listing(), stop)
    assert len(images.store.read(images.listing())) == 6
    assert images.described == 4 + 4, "two of the four were stored"
