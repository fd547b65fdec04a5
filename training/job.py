"""The entry point of the training job: `python -m training.job`, told by its environment.

RUN_ID names the run; DATA_BUCKET, MODELS_BUCKET and TABLE are those of the service. JOB_CACHE is
the folder for images and the training's own files (default: one in the temporary folder). Ends with
0 where the run has an end, also where the answer is no; with 2 where another attempt would end the
same; with 143 at SIGTERM and 1 at any other fault, and AWS Batch tries again, up to LAST_ATTEMPT.
"""

import contextlib
import io
import os
import signal
import sys
import tempfile
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from clickbait.errors import NotFound, Problem
from clickbait.settings import SettingsError, settings
from clickbait.store.runs import ENDED, FAILED, Runs
from training import Unusable
from training.progress import say

if TYPE_CHECKING:
    from training.run import Attempt

DONE, FAULT, HOPELESS, TERMINATED = 0, 1, 2, 143
LAST_ATTEMPT = 3
"""Attempts in the job definition of the template: nobody tries again after this one."""
LOG_LINES = 40
"""Last lines of what the job said that a run keeps; all of them are in the job's log stream."""
NEEDED = ("data_bucket", "models_bucket", "table")


class Terminated(BaseException):
    """SIGTERM: Spot takes the machine back, or somebody stops the job."""


class Log(io.TextIOBase):
    """Standard output, of which the last lines are kept."""

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
    """Do the run of the environment; returns the exit status."""
    run = environment.get("RUN_ID", "")
    try:
        config = settings()
        lacks = [name.upper() for name in NEEDED if not getattr(config, name)]
        lacks += [] if run else ["RUN_ID"]
        if lacks:
            raise SettingsError(f"{', '.join(lacks)} must be set")
        runs = Runs.from_settings()
        state = runs.get(run)["state"]
    except (SettingsError, NotFound) as error:
        print(f"error: {error}", file=sys.stderr)
        return HOPELESS
    cache = Path(environment.get("JOB_CACHE") or Path(tempfile.gettempdir(), "clickbait-job"))
    attempt = int(environment.get("AWS_BATCH_JOB_ATTEMPT") or 1)
    log = Log(sys.stdout)
    work: Attempt | None = None
    with contextlib.redirect_stdout(log), _sigterm():
        try:
            # Not before SIGTERM is heard: TensorFlow takes seconds to import.
            from training import run as steps

            work = steps.Attempt(run, runs, config, cache, log.lines)
            if state in ENDED:
                say(f"Run {run} has ended already: {state}.")
            else:
                with contextlib.suppress(steps.Over):
                    work.go()
            work.clean()
            return DONE
        except Terminated:
            say("Told to stop; the next attempt goes on from the last whole epoch.")
            _report(runs, run, log, "The job was told to stop; it goes on with its next attempt.")
            return TERMINATED
        except Unusable as error:
            say(f"error: {error}")
            _fail(runs, run, log, str(error), work)
            return HOPELESS
        except Exception as error:  # Whatever it is, the run must tell of it.
            say(traceback.format_exc())
            told = error.detail if isinstance(error, Problem) else repr(error)
            if attempt >= LAST_ATTEMPT:
                _fail(runs, run, log, f"The training failed {attempt} times, last: {told}", work)
            else:
                _report(runs, run, log, f"Attempt {attempt} of {LAST_ATTEMPT} failed: {told}")
            return FAULT


def _report(runs: Runs, run: str, log: Log, reason: str) -> None:
    """Leave the log with the run, as far as the table can be reached."""
    _try(lambda: runs.report(run, reason=reason, log=list(log.lines)))


def _fail(runs: Runs, run: str, log: Log, reason: str, work: "Attempt | None") -> None:
    _try(lambda: runs.advance(run, FAILED, reason, log=list(log.lines)))
    if work:
        _try(work.clean)


def _try(step: Callable[[], object]) -> None:
    try:
        step()
    except Exception:  # The exit status is what matters now, and it is decided.
        say(traceback.format_exc())


@contextlib.contextmanager
def _sigterm() -> Iterator[None]:
    """Raise Terminated in the main thread at SIGTERM."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Once is enough: what follows is short.
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
