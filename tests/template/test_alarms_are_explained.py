"""The page explains every alarm under its name in the template."""

import re
from pathlib import Path

from tests.template.conftest import of_type

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = ROOT / "frontend" / "src" / "pages" / "monitoring" / "alarms.ts"
ENTRY = re.compile(r'^    resource: "(\w+)",$', re.MULTILINE)


def test_the_page_explains_every_alarm_of_the_template_once_and_no_other(resources):
    explained = ENTRY.findall(EXPLAINED.read_text("utf-8"))
    assert sorted(explained) == sorted(of_type(resources, "AWS::CloudWatch::Alarm"))
