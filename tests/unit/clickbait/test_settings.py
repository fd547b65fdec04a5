"""settings: they are read from the environment, and an error names the variable."""

from dataclasses import fields
from pathlib import Path

import pytest

from clickbait.settings import Settings, SettingsError

README = Path(__file__).resolve().parents[3] / "README.md"


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_environment({"CACHE_SIZE": "", "MODEL_PATH": ""}) == Settings()


def test_origins_are_separated_by_commas() -> None:
    settings = Settings.from_environment({"ALLOWED_ORIGINS": "http://a, http://b"})
    assert settings.allowed_origins == ["http://a", "http://b"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CACHE_SIZE", "many"),
        ("CACHE_SIZE", "-1"),
        ("MAX_UPLOAD_SIZE", "10000001"),
        ("MAX_UPLOAD_SIZE", "10MiB"),
        ("MAX_UPLOAD_SIZE", "ten"),
        ("MAX_UPLOAD_SIZE", "1" * 400),
        ("DEBUG_MODE", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_an_invalid_value_is_reported_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}='{value}'"):
        Settings.from_environment({name: value})


def test_model_path_may_be_the_folder_or_the_file(tmp_path: Path) -> None:
    for given in (tmp_path, tmp_path / "model.tflite"):
        assert Settings(model_path=given).model_folder == tmp_path


@pytest.mark.parametrize(
    ("given", "size"), [("5000", 5_000), ("10MB", 10_000_000), ("9.5 MB", 9_500_000)]
)
def test_a_size_may_have_a_unit(given: str, size: int) -> None:
    assert Settings.from_environment({"MAX_UPLOAD_SIZE": given}).max_upload_size == size


@pytest.mark.parametrize("name", ["clickbait_cnn.h5", "model.keras", "SAVED_MODEL.PB"])
def test_a_keras_file_is_refused_with_the_way_to_a_version(name: str) -> None:
    says = f"MODEL_PATH='models/{name}': this is a Keras file.*cannot be converted.*make train DATA"
    with pytest.raises(SettingsError, match=says):
        Settings.from_environment({"MODEL_PATH": f"models/{name}"})


@pytest.mark.parametrize("name", [each.name for each in fields(Settings)])
def test_every_setting_is_documented_in_readme(name: str) -> None:
    assert f"`{name.upper()}`" in README.read_text(encoding="utf-8")
