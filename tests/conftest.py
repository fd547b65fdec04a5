"""What all tests share: the import path, also for the processes they start."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "layers/clickbait/python")])
# No test may reach an account by accident, whatever the machine is signed in to.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_DEFAULT_REGION="us-east-1"
)
