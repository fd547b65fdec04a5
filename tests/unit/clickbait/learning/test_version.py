"""The version folder of a small update, on the shipped model."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clickbait import LABELS
from clickbait.errors import InvalidModel
from clickbait.inference.appearance import APPEARANCE
from clickbait.inference.classifier import Classifier
from clickbait.learning import manifest, version
from clickbait.learning.decide import Decision
from clickbait.learning.manifest import Record
from clickbait.learning.update import Update, small_update
from clickbait.learning.version import Story
from tests.unit.clickbait.learning.test_update import ANCHOR, METADATA, STORED, owner

IMAGES = owner(60)
UPDATE = small_update(ANCHOR, IMAGES, STORED)
STORY = Story("20261126-120000-abcdef", "20261126-120000", "2026-11-26T12:00:00+00:00", "before")
RECORDS = [
    Record(f"train/{i}.jpg", LABELS[label], f"{i:064x}", f"{i:016x}", "", version.TRAIN)
    for i, label in enumerate(IMAGES.labels)
]


def files(update: Update = UPDATE, records: Sequence[Record] = RECORDS, **more: Any) -> dict:
    used = [record for record in records if record.side]
    looks = [dict.fromkeys(APPEARANCE, float(i)) for i in range(len(used))]
    units = [str(i) for i in range(len(used))]
    given = {"records": records, "units": units, "appearances": looks} | more
    return version.files(ANCHOR, update, STORY, **given)


def test_the_same_images_give_the_same_bytes_and_others_another_name() -> None:
    first, again = files(), files()
    assert first == again
    renamed = files(records=[replace(RECORDS[0], sha256="f" * 64), *RECORDS[1:]])
    names = [json.loads(one["metadata.json"])["model_version"] for one in (first, renamed)]
    assert names[0] != names[1] and all(name.startswith(STORY.moment) for name in names)


def test_the_service_loads_it_and_its_metadata_says_nothing_of_the_anchors_training() -> None:
    written = files()
    metadata = json.loads(written["metadata.json"])
    assert Classifier(written["model.tflite"], metadata).version == metadata["model_version"]
    assert metadata["anchor"] == METADATA["model_version"] and metadata["before"] == "before"
    assert metadata["training_images"] == 60 and metadata["epochs_trained"] == 0
    assert not {"recipe", "networks", "seconds", "libraries"} & set(metadata)
    assert metadata["accuracy"] == metadata["metrics"]["accuracy"]["value"]
    assert json.loads(written["evaluation.json"])["images"] == 60


def test_the_manifest_names_what_was_left_out_and_what_was_learned() -> None:
    out = Record("train/copy.jpg", LABELS[0], "e" * 64, "0" * 16, reason="a duplicate of another")
    written = files(records=[*RECORDS, out])
    lines = written["manifest.csv"].decode().splitlines()
    assert list(manifest.read(lines)) == [*RECORDS, out]
    learned = version.learned(lines)
    assert learned == {record.sha256: record.label for record in RECORDS}
    assert json.loads(written["metadata.json"])["left_out_images"] == 1


def test_ancestors_are_the_used_images_of_all_manifests_once() -> None:
    text = manifest.write([*RECORDS, Record("x", LABELS[0], "d" * 64, reason="unreadable")])
    found = list(
        manifest.read(version.ancestors(text.splitlines(), text.splitlines()).splitlines())
    )
    assert found == RECORDS
    assert not version.ancestors() and "ancestors.csv" not in files()
    assert files(ancestors=text)["ancestors.csv"] == text.encode()


def test_without_a_learned_layer_there_is_no_version() -> None:
    with pytest.raises(ValueError, match="nothing was learned"):
        files(Update(Decision(False, "Too few.", "Too few.", [])))


def test_a_file_that_differs_from_its_layer_is_refused() -> None:
    assert UPDATE.head is not None
    other = replace(UPDATE.head, bias=UPDATE.head.bias + 1)
    with pytest.raises(InvalidModel, match="off by up to"):
        files(replace(UPDATE, head=other))


def test_the_card_names_the_anchor_and_the_figures() -> None:
    card = files()["card.md"].decode()
    assert METADATA["model_version"] in card and "| AUC | 0." in card
    undefined = {"value": None, "reason": "there is no clickbait image"}
    metadata = json.loads(files()["metadata.json"])
    metadata["metrics"]["recall"] = undefined
    assert "undefined: there is no clickbait image" in version.card(metadata)
    assert np.isfinite(metadata["loss"])
