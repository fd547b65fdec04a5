"""The template's tools report nothing, and every rule that they skip has its reason."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_template_is_valid_and_cfn_lint_is_clean(tool):
    done = tool("sam", "validate", "--lint")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_region_has_every_resource(tool):
    """In each of three continents; types and their properties differ from region to region."""
    regions = ["us-east-1", "eu-central-1", "ap-southeast-2"]
    done = tool("cfn-lint", "--regions", *regions, "--", "template.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_checkov_is_clean(tool):
    done = tool("checkov", "--config-file", ".checkov.yaml")
    assert done.returncode == 0, done.stdout
    assert "Failed checks: 0" in done.stdout


def test_every_skipped_rule_has_its_reason_beside_it(resources):
    for name, resource in resources.items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert len(skip["comment"].split()) > 5, (name, skip)
    _, skipped = (ROOT / ".checkov.yaml").read_text("utf-8").split("skip-check:\n")
    # A reason stands above the rules that it is for.
    reasons = re.findall(r"^  # (.*)\n(?:  - CKV_AWS_\d+.*\n)+", skipped, re.MULTILINE)
    rest = re.sub(r"^  # .*\n(?:  - CKV_AWS_\d+.*\n)+", "", skipped, flags=re.MULTILINE)
    assert rest == "" and all(len(reason.split()) > 5 for reason in reasons)
    assert "cfn-lint" not in (ROOT / "template.yaml").read_text("utf-8")
