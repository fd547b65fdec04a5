"""The entry point of the training job: `python -m training.job`. Its environment configures it.

RUN_ID names the run; DATA_BUCKET, MODELS_BUCKET and TABLE are the service's. JOB_CACHE is the
folder for images and the training's own files (default: one in the temporary folder).

Exit status: 0 if the run has ended, with a promoted or a rejected version; 2 if another attempt
would fail in the same way; 143 at SIGTERM, and 1 at any other fault. After 1 and 143 AWS Batch
tries again, up to LAST_ATTEMPT. While AWS refuses or does not answer, the attempt waits.
"""

import contextlib
import io
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from botocore.exceptions import NoRegionError

from clickbait import aws
from clickbait.errors import NotFound, Problem
from clickbait.settings import Settings, SettingsError, settings
from clickbait.store.runs import ENDED, FAILED, Runs
from training import Unusable
from training.progress import say

if TYPE_CHECKING:
    from training.attempt import Attempt

DONE, FAULT, HOPELESS, TERMINATED = 0, 1, 2, 143
LAST_ATTEMPT = 3
"""The number of attempts in the template's job definition: there is none after this one."""
OUTAGE_SECONDS, PAUSE_SECONDS = 900.0, 15.0
"""The total and the single wait of an attempt while AWS refuses or does not answer. Without them,
three attempts may be over within a minute of such an outage."""
LOG_LINES = 40
"""A run keeps this many of the job's last log lines; the job's log stream has all of them."""
NEEDED = ("data_bucket", "models_bucket", "table")


class Terminated(BaseException):
    """Raised at SIGTERM: Spot takes the machine back, or somebody stops the job."""


class Log(io.TextIOBase):
    """Standard output that keeps its last lines."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.lines: deque[str] = deque(maxlen=LOG_LINES)
        self._begun = ""

    def write(self, text: str) -> int:
        self.out.write(text)
        *whole, self._begun = (self._begun + text).split("\n")
        self.lines.extend(line for line in whole if line.strip())
        return len(text)

    def flush(self) -> None:
        self.out.flush()


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Do the run that the environment names; returns the exit status."""
    run = environment.get("RUN_ID", "")
    try:
        config, runs = _opened(run)
    except NoRegionError:
        print("error: no region: AWS_DEFAULT_REGION must be set", file=sys.stderr)
        return HOPELESS
    except (SettingsError, NotFound) as error:
        print(f"error: {error}", file=sys.stderr)
        return HOPELESS
    cache = Path(environment.get("JOB_CACHE") or Path(tempfile.gettempdir(), "clickbait-job"))
    number = int(environment.get("AWS_BATCH_JOB_ATTEMPT") or 1)
    log = Log(sys.stdout)
    attempt: Attempt | None = None

    def go() -> None:
        nonlocal attempt
        # Only now that SIGTERM is handled: TensorFlow takes seconds to import.
        from training import attempt as steps

        state = runs.get(run)["state"]
        attempt = steps.Attempt(run, runs, config, cache, log.lines)
        if state in ENDED:
            say(f"Run {run} has ended already: {state}.")
        else:
            with contextlib.suppress(steps.Over):
                attempt.go()
        attempt.clean()

    with contextlib.redirect_stdout(log), _sigterm():
        try:
            _through_outages(go)
            return DONE
        except Terminated:
            say("SIGTERM: stopping. The next attempt resumes from the last whole epoch.")
            _report(runs, run, log, "The job was interrupted. Its next attempt resumes.")
            return TERMINATED
        except Unusable as error:
            say(f"error: {error}")
            _fail(runs, run, log, str(error), attempt)
            return HOPELESS
        except Exception as error:  # The run must report any fault.
            say(traceback.format_exc())
            cause = _cause(error)
            if number >= LAST_ATTEMPT:
                reason = f"The training failed {number} times. The last error: {cause}"
                _fail(runs, run, log, reason, attempt)
            else:
                _report(runs, run, log, f"Attempt {number} of {LAST_ATTEMPT} failed: {cause}")
            return FAULT


def _opened(run: str) -> tuple[Settings, Runs]:
    """The settings and the runs; raises SettingsError, NoRegionError, or NotFound for the run."""
    config = settings()
    lacks = [name.upper() for name in NEEDED if not getattr(config, name)]
    lacks += [] if run else ["RUN_ID"]
    if lacks:
        raise SettingsError(f"{', '.join(lacks)} must be set")
    runs = Runs.from_settings()
    try:
        runs.get(run)
    except aws.faults() as error:
        if not aws.is_outage(error):
            raise
    return config, runs


def _through_outages(step: Callable[[], None]) -> None:
    """Do `step`, again after each pause while AWS refuses or does not answer; raises its errors."""
    waited = 0.0
    while True:
        try:
            return step()
        except Exception as error:
            if waited >= OUTAGE_SECONDS or not aws.is_outage(error):
                raise
            say(f"{_cause(error)}. Trying again in {PAUSE_SECONDS:.0f} s.")
        time.sleep(PAUSE_SECONDS)
        waited += PAUSE_SECONDS


def _cause(error: Exception) -> str:
    return (error.detail if isinstance(error, Problem) else aws.reason(error)).rstrip(".")


def _report(runs: Runs, run: str, log: Log, reason: str) -> None:
    """Store the log with the run, if the table can be reached."""
    _try(lambda: runs.report(run, reason=reason, log=list(log.lines)))


def _fail(runs: Runs, run: str, log: Log, reason: str, attempt: "Attempt | None") -> None:
    _try(lambda: runs.advance(run, FAILED, reason, log=list(log.lines)))
    if attempt:
        _try(attempt.clean)


def _try(step: Callable[[], object]) -> None:
    try:
        step()
    except Exception:  # Only the exit status matters now, and it is decided.
        say(traceback.format_exc())


@contextlib.contextmanager
def _sigterm() -> Iterator[None]:
    """Raise Terminated in the main thread at SIGTERM."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # What follows is short.
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
