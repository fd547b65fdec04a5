"""Runs Batch jobs as processes: one at a time, with retries and a timeout; restarts keep them.

The end of the stack interrupts a job, as the loss of a Spot machine does on AWS. The next start
counts the attempt as interrupted and begins the next one.
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.batch.definitions import name_in
from local.batch.reports import Detail, Reporter

CHECKOUT = Path(__file__).resolve().parents[2]

WAITING = ("SUBMITTED", "RUNNABLE")
ENDED = ("SUCCEEDED", "FAILED")

NO_CAPACITY = "no-capacity"
"""While the state folder has a file of this name, no job gets a machine, as on AWS in bad hours."""
CAPACITY_SECONDS = 0.5
"""Seconds between two looks for that file while a job waits."""

ENDED_KEPT = 100  # Number of ended jobs that DescribeJobs still returns; AWS keeps them for a week.
EXITED = "Essential container in task exited"
TIMED_OUT = "Job attempt duration exceeded timeout"
INTERRUPTED = "Your Spot Task was interrupted."
"""AWS's status reasons, which the conditions of a retry strategy match."""

INHERITED = ("PATH", "HOME", "LANG")
"""The only variables that a job inherits from the user's environment."""

MAKE_VARIABLES = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
"""Variables of an outer make, which an inner make must not inherit."""

TRAINING = Path("training") / ".venv"

INSTALL_MINUTES = 5  # The training environment has about a gigabyte of packages to download.


class Jobs:
    """The jobs of one stack, which run one at a time in the checkout at `root`."""

    def __init__(
        self,
        root: Path,
        state_dir: Path,
        reports: Reporter,
        environment: Mapping[str, str],
        credentials: Callable[[str], dict[str, str]],
    ) -> None:
        """`credentials` returns the environment variables with the credentials of a role."""
        self._root = root
        self._state_dir = state_dir
        self._reports = reports
        self._environment = dict(environment)
        self._credentials = credentials
        self._file = state_dir / "jobs.json"
        self._jobs: dict[str, Detail] = {}
        if self._file.exists():
            self._jobs = {job["jobId"]: job for job in json.loads(self._file.read_text())}
        self._changed = asyncio.Event()
        self._stopping = False
        self._running: tuple[str, asyncio.subprocess.Process] | None = None
        """The id of the running job, and its process."""

    def all(self) -> list[Detail]:
        """All jobs, newest first."""
        return sorted(self._jobs.values(), key=lambda job: -job["createdAt"])

    def get(self, job_id: str) -> Detail | None:
        return self._jobs.get(job_id)

    def submit(self, job: Detail) -> None:
        """Add a new job to the queue."""
        self._jobs[job["jobId"]] = job
        for old in [each for each in self.all() if each["status"] in ENDED][ENDED_KEPT:]:
            del self._jobs[old["jobId"]]
        self._change(job, "SUBMITTED")
        self._change(job, "RUNNABLE")

    def terminate(self, job: Detail, reason: str, running: bool = True) -> None:
        """End a job for good. If it has begun, do so only if `running`."""
        if job["status"] in WAITING:
            self._change(job, "FAILED", statusReason=reason, isCancelled=True)
        elif running and job["status"] not in ENDED:
            job |= {"isTerminated": True, "statusReason": reason}
            self._save()
            if self._running and self._running[0] == job["jobId"]:
                self._stop_process()

    async def work(self) -> None:
        """Run the waiting jobs in the order of their submission until `stop`."""
        self._resume()
        while not self._stopping:
            waiting = [job for job in self._jobs.values() if job["status"] in WAITING]
            if waiting and not (self._state_dir / NO_CAPACITY).exists():
                await self._attempt(waiting[0])
                continue
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), CAPACITY_SECONDS if waiting else None)

    def stop(self) -> None:
        """Make `work` return; a running job is interrupted."""
        self._stopping = True
        self._changed.set()
        self._stop_process()

    def _resume(self) -> None:
        """Queue the jobs again that an earlier stack did not finish."""
        for job in self._jobs.values():
            if job["status"] == "RUNNING":
                self._end(job, None, INTERRUPTED)
            elif job["status"] == "STARTING":
                self._requeue_unless_terminated(job)

    def _requeue_unless_terminated(self, job: Detail) -> None:
        self._change(job, "FAILED" if job.get("isTerminated") else "RUNNABLE")

    async def _attempt(self, job: Detail) -> None:
        """Run the next attempt of a waiting job to its end."""
        self._change(job, "STARTING", statusReason=None)
        if job["container"]["command"][:1] == ["python"] and not await self._build_environment(job):
            return
        if self._stopping or job.get("isTerminated"):
            self._requeue_unless_terminated(job)
            return
        command = [str(word) for word in job["container"]["command"]]
        if command[0] == "python":
            command[0] = str(self._root / TRAINING / "bin" / "python")
        self._change(job, "RUNNING", startedAt=_now(), statusReason=None)
        role = job["container"].get("jobRoleArn", "")
        try:
            credentials = await asyncio.to_thread(self._credentials, role)
        except (BotoCoreError, ClientError) as error:
            self._end(job, None, f"No credentials of {role}: {error}")
            return
        environment = self._environment_of(job) | credentials
        running = asyncio.create_task(self._run(job, command, environment))
        limit = job.get("timeout", {}).get("attemptDurationSeconds")
        _, late = await asyncio.wait([running], timeout=limit)
        if late:
            self._stop_process()
        code = await running
        if not self._stopping or code == 0:  # Else the next start resumes it.
            self._end(job, code, TIMED_OUT if late else EXITED)

    def _environment_of(self, job: Detail) -> dict[str, str]:
        """The whole environment of a job's process, except its credentials."""
        own = {each["name"]: each["value"] for each in job["container"]["environment"]}
        return (
            {name: os.environ[name] for name in INHERITED if name in os.environ}
            | self._environment
            | {"JOB_CACHE": str(self._state_dir / "cache"), "PYTHONUNBUFFERED": "1"}
            | own
            | {
                "AWS_BATCH_JOB_ID": job["jobId"],
                "AWS_BATCH_JOB_ATTEMPT": str(len(job["attempts"]) + 1),
                "AWS_BATCH_JQ_NAME": name_in(job["jobQueue"]),
            }
        )

    def _end(self, job: Detail, code: int | None, why: str) -> None:
        """Record the end of an attempt; then end the job or queue it again."""
        exit_code = {} if code is None else {"exitCode": code}
        job["container"].pop("exitCode", None)
        job["container"] |= exit_code
        job["attempts"].append(
            {
                "container": exit_code | {"logStreamName": job["container"]["logStreamName"]},
                "startedAt": job["startedAt"],
                "stoppedAt": _now(),
                "statusReason": why,
            }
        )
        attempts = len(job["attempts"])
        if code == 0:
            self._change(job, "SUCCEEDED", statusReason=why, stoppedAt=_now())
        elif job.get("isTerminated"):
            self._change(job, "FAILED", stoppedAt=_now())
        elif why == TIMED_OUT or not is_retried(job["retryStrategy"], attempts, code, why):
            self._change(job, "FAILED", statusReason=why, stoppedAt=_now())
        else:
            self._change(job, "RUNNABLE", statusReason=why)

    async def _build_environment(self, job: Detail) -> bool:
        """Build the training environment, the image of this machine, unless it is up to date.

        Returns whether the job can run.
        """
        done = self._root / TRAINING / "done"
        lock = self._root / "training" / "requirements.txt"
        if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
            return True
        target = str(TRAINING / "done")
        self._reports.line(job, f"make {target}: this takes about {INSTALL_MINUTES} minutes")
        # The command gets the user's environment, as if typed by hand.
        environment = {k: v for k, v in os.environ.items() if k not in MAKE_VARIABLES}
        counting = asyncio.create_task(self._count_minutes(job))
        try:
            code = await self._run(job, ["make", "--no-print-directory", target], environment)
        finally:
            counting.cancel()
        if code != 0 and not self._stopping and not job.get("isTerminated"):
            why = f"CannotPullContainerError: make {target} ended with {code}; the log says why"
            self._change(job, "FAILED", statusReason=why, stoppedAt=_now())
            return False
        return True

    async def _count_minutes(self, job: Detail) -> None:
        """Say in a starting job's status reason how long the installation has taken so far."""
        for minute in itertools.count(1):
            if job.get("isTerminated"):
                return
            of = f"of about {INSTALL_MINUTES}" if minute <= INSTALL_MINUTES else "so far"
            job["statusReason"] = (
                f"Installing TensorFlow, minute {minute} {of}. It is installed again only after "
                "training/requirements.txt changes."
            )
            self._save()
            await asyncio.sleep(60)

    async def _run(self, job: Detail, command: list[str], environment: dict[str, str]) -> int:
        """Run a command to its end with its output in the job's log; return its exit status."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local.guard", str(os.getpid()), str(self._root), *command),
            cwd=CHECKOUT,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._running = (job["jobId"], process)
        if self._stopping or job.get("isTerminated"):  # Requested while the process was starting.
            self._stop_process()
        assert process.stdout is not None
        async for line in _lines(process.stdout):
            self._reports.line(job, line)
        code = await process.wait()
        self._running = None
        return code

    def _stop_process(self) -> None:
        if self._running:
            with contextlib.suppress(ProcessLookupError):
                self._running[1].send_signal(signal.SIGTERM)

    def _change(self, job: Detail, status: str, **fields: Any) -> None:
        job |= {"status": status, **fields}
        for name in [name for name, value in fields.items() if value is None]:
            del job[name]
        self._save()
        self._reports.changed(job)
        self._changed.set()

    def _save(self) -> None:
        """Write all jobs at once, so that a kill leaves either the old file or the new one."""
        draft = self._file.with_suffix(".part")
        draft.write_text(json.dumps(list(self._jobs.values())))
        draft.replace(self._file)


def is_retried(strategy: Mapping[str, Any], attempts: int, code: int | None, why: str) -> bool:
    """Whether another attempt follows after `attempts`, the last of which failed.

    As in AWS Batch, the first matching condition decides; if none matches, the job is retried.
    """
    if attempts >= strategy.get("attempts", 1):
        return False
    facts = {"onExitCode": "" if code is None else str(code), "onStatusReason": why, "onReason": ""}
    for condition in strategy.get("evaluateOnExit", []):
        names = [name for name in facts if name in condition]
        if all(fnmatchcase(facts[name], str(condition[name])) for name in names):
            return bool(condition["action"].upper() == "RETRY")
    return True


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines of any length as they come; invalid UTF-8 becomes replacement characters."""
    rest = b""
    while chunk := await stream.read(1 << 16):
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _now() -> int:
    return int(time.time() * 1000)
