"""The template's tools find nothing to say, and what they were told to overlook has its reason."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_sam_validates_and_lints_the_template(tool):
    done = tool("sam", "validate", "--lint")
    assert done.returncode == 0, done.stdout + done.stderr


def test_cfn_lint_is_clean(tool):
    done = tool("cfn-lint", "template.yaml")
    assert (done.returncode, done.stdout) == (0, "")


def test_checkov_is_clean(tool):
    done = tool("checkov", "--config-file", ".checkov.yaml")
    assert done.returncode == 0, done.stdout
    assert "Failed checks: 0" in done.stdout


def test_every_overlooked_check_has_its_reason_beside_it(resources):
    for name, resource in resources.items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert len(skip["comment"].split()) > 5, (name, skip)
    configuration = (ROOT / ".checkov.yaml").read_text("utf-8")
    assert "skip-check" not in configuration
    assert "cfn-lint" not in (ROOT / "template.yaml").read_text("utf-8")
