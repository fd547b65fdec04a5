"""A deployment goes where `sam deploy` itself goes: its options first, then its configuration."""

import pytest

from ops import StackError, target
from ops.target import Target

TOML = """
version = 0.1
[default.global.parameters]
stack_name = "clickbait"
region = "eu-central-1"
[default.deploy.parameters]
profile = "work"
[staging.deploy.parameters]
stack_name = "clickbait-staging"
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "samconfig.toml").write_text(TOML)
    (tmp_path / "other.yaml").write_text(
        "version: 0.1\ndefault: {deploy: {parameters: {stack_name: other, region: us-west-2}}}\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], Target("clickbait", "eu-central-1", "work")),
        (["--region", "us-east-1"], Target("clickbait", "us-east-1", "work")),
        (["--region=us-east-1", "--guided"], Target("clickbait", "us-east-1", "work")),
        (["--stack-name", "mine", "--profile=own"], Target("mine", "eu-central-1", "own")),
        (["--config-env", "staging"], Target("clickbait-staging")),
        (["--config-file", "other.yaml"], Target("other", "us-west-2")),
        (["--parameter-overrides", "Access=public"], Target("clickbait", "eu-central-1", "work")),
    ],
)
def test_options_come_before_the_configuration(root, options, expected):
    assert target.read(root, options) == expected


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--config-env", "unknown"], "no stack is named"),
        (["--config-file", "missing.toml"], "missing.toml cannot be read"),
        (["--stack-name", "Capital"], "does not fit"),
    ],
)
def test_what_names_no_stack_is_one_sentence(root, options, reason):
    with pytest.raises(StackError, match=reason):
        target.read(root, options)


@pytest.mark.parametrize("text", ["[default", "default = 1", "\ud800"])
def test_a_damaged_configuration_is_one_sentence(tmp_path, text):
    (tmp_path / "samconfig.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(StackError, match=r"samconfig\.toml cannot be read"):
        target.read(tmp_path, [])


def test_everything_is_tagged_by_project_and_stack_unless_tags_are_given(root):
    flag, value = target.tags(root, ["--stack-name", "mine"])
    assert (flag, value) == ("--tags", "project=clickbait-classifier stack=mine")
    assert target.tags(root, ["--tags", "team=a"]) == []
    (root / "samconfig.toml").write_text(TOML + 'tags = "team=a"\n')
    assert target.tags(root, ["--config-env", "staging"]) == []


def test_the_longest_name_leaves_room_for_the_longest_bucket(root):
    name = "a" * 28
    assert target.read(root, ["--stack-name", name]).stack == name
    assert len(f"{name}-models-123456789012-ap-southeast-2") <= 63
