"""The samples of README and of the page: the shipped model judges each as its name says."""

from pathlib import Path

import pytest

from clickbait.inference import images
from clickbait.inference.classifier import Classifier
from clickbait.settings import CHECKOUT_BASELINE

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "frontend" / "public" / "samples"
LARGEST = 60_000


def test_there_is_one_small_sample_of_each_verdict_with_its_licence() -> None:
    found = sorted(SAMPLES.glob("*.jpg"))
    licence = (SAMPLES / "LICENCE.txt").read_text(encoding="utf-8")
    assert [f.stem for f in found] == ["clickbait", "legitimate", "unsure"]
    assert all(f.stat().st_size <= LARGEST and f.name in licence for f in found)
    assert (ROOT / "sample.jpg").read_bytes() == (SAMPLES / "clickbait.jpg").read_bytes()


@pytest.mark.parametrize("verdict", ["clickbait", "legitimate", "unsure"])
def test_the_shipped_model_judges_a_sample_as_its_name_says(verdict: str) -> None:
    image = images.read((SAMPLES / f"{verdict}.jpg").read_bytes())
    classifier = Classifier.load(CHECKOUT_BASELINE)
    found = classifier.predict(images.model_input(image, classifier.size))
    assert found.uncertain == (verdict == "unsure")
    if not found.uncertain:
        assert found.is_clickbait == (verdict == "clickbait")
