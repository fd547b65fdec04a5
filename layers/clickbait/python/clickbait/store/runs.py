"""Training runs: one at a time, each recorded from its request to its end.

A run is an item of the table. A fine-tuning is also one AWS Batch job of the same name; a small
update is a message that the learn function receives. `request` takes the lease and writes the run
in one transaction, and submits the job or the message afterwards. After a crash in between, the
lease has neither, and `settle` submits one. The event of a job's end frees the lease; if that event
is lost, `settle` does, and it ends a job that gets no machine. The learn function frees the lease
of a small update. If it is killed, the message comes again, or `settle` sends another one; after
ATTEMPTS the run has failed. `cancel` ends a run at any time, except while it is making its version
live.
"""

import json
import re
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from clickbait import aws
from clickbait.errors import BadRequest, Conflict, NotFound, Unavailable
from clickbait.keys import LOCK_PARTITION, RUN_PARTITION
from clickbait.observability import count, logger
from clickbait.settings import settings
from clickbait.store.notices import notify

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_batch.type_defs import JobSummaryTypeDef

QUEUED, RUNNING, EVALUATING = "QUEUED", "RUNNING", "EVALUATING"
PROMOTED, REJECTED, FAILED, CANCELLED = "PROMOTED", "REJECTED", "FAILED", "CANCELLED"
Method = Literal["small_update", "fine_tuning"]
SMALL_UPDATE: Final = "small_update"
FINE_TUNING: Final = "fine_tuning"
OwnWeight = Literal["stay_close", "balanced", "follow_labels"]
ENDED = (PROMOTED, REJECTED, FAILED, CANCELLED)
STATES = (QUEUED, RUNNING, EVALUATING, *ENDED)
State = Literal["QUEUED", "RUNNING", "EVALUATING", "PROMOTED", "REJECTED", "FAILED", "CANCELLED"]
PROMOTING = "promoting"
"""Field of a run: whether it is making its version live now."""

OUTCOMES = {
    PROMOTED: "done: the new model is live",
    REJECTED: "done: the live model stays",
    FAILED: "failed",
}
"""The end of a run in the subject of a message."""

LEASE = "lease"
"""Sort key of the lease: the run that has it, since when, and its job."""
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")

SUBMIT_SECONDS = 90
"""After this, the function that took the lease has submitted the job or has ended, because it runs
for 60 s at most."""

UPDATE_SECONDS = 240
"""After this, an attempt at a small update has ended or was killed: the learn function runs for
180 s at most."""
ATTEMPTS = 3
"""The most times that a small update is begun, and the most times that its message is sent."""

BEGUN = ("RUNNING", "SUCCEEDED", "FAILED")
"""The states of an AWS Batch job from its first moment on a machine on."""
LONG_WAIT_SECONDS = 1_800
"""From here on, the time that a job waits for a machine raises an alarm."""
MAX_WAIT_SECONDS = 7_200
"""After this, a job that waits for a machine is ended, because no other run can start. The job
queue has the same limit, for the reasons that AWS Batch recognises."""
NO_MACHINE = (
    "AWS gave this training no machine for two hours, so it was ended. Raise the account's quota "
    "of Fargate vCPUs, or start it again later."
)

NOT_LISTED = ("log", "history")
"""Fields that a list of runs leaves out, because they are long."""

NO_IMAGE = "CannotPullContainer"
KILLED = 137
"""Exit status of a process that SIGKILL ended. On Fargate, the kernel sends it if memory runs out.
"""


class Parameters(BaseModel):
    """The parameters that one run may change; the others are the recipe's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: Literal["efficientnet_lite0", "cnn"] | None = Field(
        None, description="an architecture other than the live model's is trained from scratch"
    )
    epochs: int | None = Field(None, ge=1, le=200, description="the most passes over the images")
    batch_size: int | None = Field(None, ge=1, le=512, description="images in a step")
    learning_rate: float | None = Field(None, ge=1e-6, le=0.1, description="peak learning rate")
    validation_split: float | None = Field(
        None, ge=0.05, le=0.5, description="share of the newly split images used for validation"
    )
    from_scratch: bool = Field(False, description="do not start from the live model's weights")
    skip_label_check: bool = Field(
        False, description="train although the live model contradicts the labels"
    )
    method: Method | None = Field(
        None,
        description="small_update: only the last layer, in seconds; fine_tuning: the network, in "
        "minutes; if omitted, the number of images decides",
    )
    own_weight: OwnWeight | None = Field(
        None,
        description="weight of your images against those of the shipped model, for a small update",
    )


class Runs:
    """The runs in the table, their jobs in AWS Batch, and the queue of small updates."""

    def __init__(
        self, table: str, queue: str = "", definition: str = "", learn_queue: str = ""
    ) -> None:
        self.table, self.queue, self.definition = table, queue, definition
        self.learn_queue = learn_queue

    @classmethod
    def from_settings(cls) -> Self:
        """Raises Unavailable if the process has no table."""
        config = settings()
        if not config.table:
            raise Unavailable("This process has no table of runs: TABLE is not set.")
        return cls(config.table, config.job_queue, config.job_definition, config.learn_queue)

    @property
    def batch(self) -> "BatchClient":
        client: BatchClient = aws.client("batch")
        return client

    # --- reading ---------------------------------------------------------------------------------

    def get(self, run: str) -> dict[str, Any]:
        """One run with all its fields; raises NotFound."""
        found = self.get_or_none(run)
        if found is None:
            raise NotFound(f"There is no run {run[:40]!r}; GET /runs lists them.")
        return found

    def get_or_none(self, run: str) -> dict[str, Any] | None:
        """One run with all its fields; None if it does not exist."""
        item = aws.get_item(self.table, RUN_PARTITION, run)
        return next(aws.parsed([item] if item else [], _from_fields), None)

    def preparing(self, run: Mapping[str, Any]) -> str | None:
        """The status reason of a queued run's job while its machine starts; None if it has none or
        AWS Batch does not answer."""
        if run["state"] != QUEUED or run["method"] == SMALL_UPDATE:
            return None
        try:
            jobs = self._jobs_named(run["id"])
        except aws.faults():
            return None
        return jobs[0].get("statusReason") if jobs and jobs[0]["status"] == "STARTING" else None

    def page(
        self, limit: int, cursor: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Up to `limit` runs, newest first, older than the run `cursor`, and the next cursor.

        They lack the fields NOT_LISTED. Raises BadRequest for a cursor that names no run.
        """
        if cursor is not None and not RUN_ID.fullmatch(cursor):
            raise BadRequest("Invalid cursor. Use `next` from the previous page.")
        items, following = aws.query_page(
            self.table, RUN_PARTITION, after=cursor, limit=limit, newest_first=True
        )
        kept = [{name: item[name] for name in item if name not in NOT_LISTED} for item in items]
        return list(aws.parsed(kept, _from_fields)), following

    def latest(self) -> dict[str, Any] | None:
        """The newest run; None before the first."""
        runs, _ = self.page(1)
        return runs[0] if runs else None

    def active(self) -> str | None:
        """The id of the run that has the lease; None if no run has it."""
        lease = self._lease()
        return lease["run"] if lease else None

    # --- the course of a run ---------------------------------------------------------------------

    def request(
        self,
        trigger: str,
        parameters: Parameters,
        reason: str,
        method: Method = FINE_TUNING,
        method_reason: str = "",
        *,
        listing: str = "",
    ) -> dict[str, Any]:
        """Start a run and return it. `method_reason` is a sentence: why this method. `listing` is
        the digest of the images that it was requested for (`trained.digest`).

        Raises Conflict, naming the active run, if there is one. Raises Unavailable if AWS refuses
        the job or the message; the run is then FAILED, with that reason.
        """
        if method == SMALL_UPDATE and not self.learn_queue:
            raise Unavailable("This process has no queue of small updates: LEARN_QUEUE is not set.")
        now = datetime.fromtimestamp(time.time(), UTC)
        run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        lease = {"pk": LOCK_PARTITION, "sk": LEASE, "run": run, "since": time.time()}
        fields = {
            "reason": reason,
            "trigger": trigger,
            "parameters": parameters.model_dump(exclude_none=True),
            "method": method,
            "method_reason": method_reason,
            "listing": listing,
            "created": now.isoformat(timespec="seconds"),
        }
        item = {"pk": RUN_PARTITION, "sk": run, "state": QUEUED, f"at_{QUEUED}": _now()}
        item |= {name: json.dumps(value) for name, value in fields.items()}
        if aws.put_new_items(self.table, [lease, item]):
            active = self.active()
            raise Conflict(
                f"A training is in progress: run {active}. GET /runs/{{id}} shows its progress. "
                "Try again when it has ended.",
                run=active,
            )
        logger.info("run requested", run=run, trigger=trigger, method=method)
        self._submit(run, method)
        return self.get(run)

    def advance(self, run: str, state: str, reason: str, **fields: Any) -> bool:
        """Set the state of `run` and its `reason`, a sentence.

        False if the run has ended: an ended run never changes.
        """
        return self._update(run, {"reason": reason, **fields}, state)

    def report(self, run: str, **fields: Any) -> bool:
        """Set `fields` of `run`, in any state. False if there is no such run or it has ended."""
        return self._update(run, fields)

    def begin(self, run: str) -> dict[str, Any] | None:
        """Count an attempt at the small update `run`, and return the run.

        None if the run does not exist, has ended, or ends now because this would be one attempt
        too many.
        """
        found = self.get_or_none(run)
        if found is None:
            return None
        attempts = found.get("attempts", 0) + 1
        if found["state"] in ENDED or attempts > ATTEMPTS:
            self._give_up(run)
            return None
        self._update_lease("SET since = :now", "#run = :run", {":run": run, ":now": time.time()})
        return found | {"attempts": attempts} if self.report(run, attempts=attempts) else None

    def begin_promotion(self, run: str) -> bool:
        """Note that `run` makes its version live now, so that nobody cancels it in between.

        False if it has ended. If the promotion fails, report PROMOTING as False.
        """
        return self._update(run, {PROMOTING: True})

    def cancel(self, run: str, reason: str) -> dict[str, Any]:
        """End a run for good, have its job stopped, and return it. Cancelling it once more repeats
        what a crash may have left out.

        Raises NotFound. Raises Conflict if the run has ended in another way or is making its
        version live, and Unavailable if AWS Batch does not stop the job; `settle` then does.
        """
        self._update(run, {"reason": reason}, CANCELLED, unless=PROMOTING)
        found = self.get(run)
        state = found["state"]
        if state in ENDED and state != CANCELLED:
            raise Conflict(f"Run {run} has ended already, as {state}, so it cannot be cancelled.")
        if state != CANCELLED:
            raise Conflict(
                f"Run {run} is making its version live now, which takes a second. Then roll back: "
                "POST /models/{version}/promote with the version before."
            )
        self._stop(found)
        return found

    def end(self, run: str, state: str, reason: str, **fields: Any) -> None:
        """End a small update in `state`, unless it has ended already, and free the lease."""
        ended = self.advance(run, state, reason, **fields)
        self._release(run)
        if ended:
            _notify(run, state, reason)
        if ended and state == FAILED:
            count("RunsFailed")
            logger.error("run failed", run=run, reason=reason)

    def on_job_ended(self, detail: Mapping[str, Any]) -> None:
        """End the run of a job that ended, unless the job has ended it, and free the lease.

        `detail` is that of an event of AWS Batch, or a job from DescribeJobs. Ignores jobs that are
        not runs.
        """
        run = str(detail.get("jobName", ""))
        if not RUN_ID.fullmatch(run) or detail.get("status") not in ("SUCCEEDED", "FAILED"):
            return
        self._update(run, {"reason": _failure_reason(detail)}, FAILED)
        freed = self._release(run)
        ended = self.get_or_none(run)
        if ended and freed:  # Not for an event that comes again.
            _notify(run, ended["state"], ended["reason"])
        if ended and ended["state"] == FAILED:  # Set here or by the job itself.
            count("RunsFailed")
            logger.error("run failed", run=run, reason=ended["reason"])

    def settle(self) -> None:
        """Repair the run that has the lease: submit it if its requester did not, end it if its job
        has ended and the event was lost, and stop its job if it gets no machine or the run was
        cancelled."""
        lease = self._lease()
        if lease is None:
            return
        run = lease["run"]
        found = self.get_or_none(run)
        if found and found["method"] == SMALL_UPDATE:
            self._settle_update(lease, found)
            return
        job = lease.get("job") or self._job_named(run)
        if job:
            self._settle_job(run, job, found, attached="job" in lease)
        elif found is None or found["state"] in ENDED:
            self._release(run)
        elif _seconds_since(lease) > SUBMIT_SECONDS and self._claim(lease):
            logger.warning("run submitted again", run=run)
            self._submit(run, FINE_TUNING)

    # --- the lease and the job -------------------------------------------------------------------

    def _settle_job(
        self, run: str, job: str, found: Mapping[str, Any] | None, attached: bool
    ) -> None:
        jobs = self.batch.describe_jobs(jobs=[job])["jobs"]
        if not jobs:
            reason = "AWS Batch no longer has the job"
            self.on_job_ended({"jobName": run, "status": "FAILED", "statusReason": reason})
            return
        if not attached:
            self._attach(run, job)
        waited = _seconds_waited(jobs[0])
        if waited > LONG_WAIT_SECONDS:
            count("RunsWaiting")
        if waited > MAX_WAIT_SECONDS:
            self._update(run, {"reason": NO_MACHINE}, FAILED)
            self._terminate(job, NO_MACHINE)
        elif found and found["state"] == CANCELLED:
            self._terminate(job, found["reason"])
        self.on_job_ended(jobs[0])

    def _stop(self, found: Mapping[str, Any]) -> None:
        """Have the job of a cancelled run stopped: its end frees the lease. Without a job, nothing
        runs that could still go live, so the lease is free at once."""
        job = found.get("job")
        try:
            if job is None and found["method"] == FINE_TUNING:
                job = self._job_named(found["id"])
            if job is None:
                self._release(found["id"])
            else:
                self._terminate(job, found["reason"])
        except aws.faults() as error:
            raise Unavailable(
                f"Run {found['id']} is cancelled, but AWS Batch has not stopped its job yet: "
                f"{aws.reason(error)}. Cancel it again, or wait 15 minutes."
            ) from error

    def _terminate(self, job: str, reason: str) -> None:
        """Stop a job, or take it out of the queue. AWS Batch ignores this for an ended one."""
        self.batch.terminate_job(jobId=job, reason=reason)

    def _settle_update(self, lease: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Send the message of a small update again if the last one was lost or its attempt was
        killed; after ATTEMPTS messages, end the run."""
        run = found["id"]
        if found["state"] in ENDED:
            self._release(run)
        elif _seconds_since(lease) > UPDATE_SECONDS and self._claim(lease):
            if found.get("sent", 0) >= ATTEMPTS:
                self._give_up(run)
                return
            logger.warning("run submitted again", run=run)
            self._submit(run, SMALL_UPDATE)

    def _give_up(self, run: str) -> None:
        """Free the lease of a small update, which has failed unless it has ended before."""
        reason = (
            f"The small update was interrupted {ATTEMPTS} times. The log of the learn function may "
            "say why. Start a run again, or choose fine-tuning."
        )
        self.end(run, FAILED, reason)

    def _submit(self, run: str, method: Method) -> None:
        from botocore.exceptions import ClientError

        try:
            if method == SMALL_UPDATE:
                self._send(run)
            else:
                self._attach(run, self._submit_job(run))
        except ClientError as error:
            what = "SQS refused the message"
            if method == FINE_TUNING:
                what = "AWS Batch refused the job"
            reason = f"{what}: {aws.reason(error)}."
            self.advance(run, FAILED, reason)
            self._release(run)
            raise Unavailable(reason) from error

    def _submit_job(self, run: str) -> str:
        return self.batch.submit_job(
            jobName=run,
            jobQueue=self.queue,
            jobDefinition=self.definition,
            containerOverrides={"environment": [{"name": "RUN_ID", "value": run}]},
        )["jobId"]

    def _send(self, run: str) -> None:
        """Send the message of a small update, and count it."""
        found = self.get(run)
        self.report(run, sent=found.get("sent", 0) + 1)
        aws.client("sqs").send_message(
            QueueUrl=self.learn_queue, MessageBody=json.dumps({"run": run})
        )

    def _attach(self, run: str, job: str) -> None:
        """Record the job of a run, in the lease and in the run."""
        self._update_lease("SET job = :job", "#run = :run", {":run": run, ":job": job})
        self._update(run, {"job": job})

    def _claim(self, lease: Mapping[str, Any]) -> bool:
        """Whether this process may submit a run that was left without a job."""
        values = {":run": lease["run"], ":since": lease["since"], ":now": time.time()}
        return self._update_lease("SET since = :now", "#run = :run AND since = :since", values)

    def _update_lease(self, expression: str, condition: str, values: dict[str, Any]) -> bool:
        names = {"#run": "run"}
        updated = aws.update_item(
            self.table,
            LOCK_PARTITION,
            LEASE,
            expression,
            values,
            condition=condition,
            names=names,
        )
        return updated is not None

    def _release(self, run: str) -> bool:
        """Free the lease if `run` has it; whether it had. A late event of an older run must not
        free it."""
        return aws.delete_item(
            self.table,
            LOCK_PARTITION,
            LEASE,
            condition="#run = :run",
            values={":run": run},
            names={"#run": "run"},
        )

    def _lease(self) -> dict[str, Any] | None:
        return aws.get_item(self.table, LOCK_PARTITION, LEASE)

    def _jobs_named(self, run: str) -> "list[JobSummaryTypeDef]":
        return self.batch.list_jobs(
            jobQueue=self.queue, filters=[{"name": "JOB_NAME", "values": [run]}]
        )["jobSummaryList"]

    def _job_named(self, run: str) -> str | None:
        jobs = self._jobs_named(run)
        return jobs[0]["jobId"] if jobs else None

    def _update(
        self, run: str, fields: Mapping[str, Any], state: str = "", *, unless: str = ""
    ) -> bool:
        """Set fields, and the state if it is given. False if the run does not exist, has ended, or
        its field `unless` is True."""
        names = {f"#{i}": name for i, name in enumerate(fields)} | {"#state": "state"}
        values = {f":{i}": json.dumps(value) for i, value in enumerate(fields.values())}
        sets = [f"#{i} = :{i}" for i in range(len(fields))]
        if state:
            names["#at"] = f"at_{state}"
            values |= {":state": state, ":at": _now()}
            sets += ["#state = :state", "#at = if_not_exists(#at, :at)"]
        ends = {f":end{i}": end for i, end in enumerate(ENDED)}
        condition = f"attribute_exists(pk) AND NOT #state IN ({', '.join(ends)})"
        if unless:
            names["#unless"], values[":true"] = unless, json.dumps(True)
            condition += " AND NOT #unless = :true"
        expression = "SET " + ", ".join(sets)
        updated = aws.update_item(
            self.table,
            RUN_PARTITION,
            run,
            expression,
            values | ends,
            condition=condition,
            names=names,
        )
        return updated is not None


def _notify(run: str, state: str, reason: str) -> None:
    """Tell the owner how a run has ended, unless an admin cancelled it."""
    if state != CANCELLED:
        text = f"{reason}\n\nThe run is {run}. The page shows it under Models."
        notify(f"Training {OUTCOMES[state]}", text)


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")


def _from_fields(item: Mapping[str, Any]) -> dict[str, Any]:
    """A run from the fields of its item. All except the state and its times are stored as JSON.

    Raises LookupError, TypeError or ValueError for an item that somebody damaged.
    """
    times = {state: item[f"at_{state}"] for state in STATES if f"at_{state}" in item}
    if not all(isinstance(text, str) for text in (item["state"], *times.values())):
        raise TypeError("a state or its time is no text")
    plain = {"pk", "sk", "state", PROMOTING, *(f"at_{state}" for state in STATES)}
    rest = {name: json.loads(text) for name, text in item.items() if name not in plain}
    # Runs of before there were small updates name no method.
    method = {"method": FINE_TUNING, "method_reason": ""}
    return {"id": item["sk"], "state": item["state"], "times": times, **method, **rest}


def _seconds_since(lease: Mapping[str, Any]) -> float:
    """The age of a lease, in seconds. If the clock was set back, it is how far the lease lies
    ahead: nobody may wait until the clock is there again."""
    return abs(time.time() - float(lease["since"]))


def _seconds_waited(job: Mapping[str, Any]) -> float:
    """How long a job has waited for a machine since it was submitted or an attempt of it ended; 0
    if it has one, or has ended. `job` is from DescribeJobs, with times in milliseconds."""
    if job["status"] in BEGUN:
        return 0.0
    ends = [attempt.get("stoppedAt", 0) for attempt in job.get("attempts", [])]
    return float(time.time() - max(job["createdAt"], *ends, 0) / 1000)


def _failure_reason(detail: Mapping[str, Any]) -> str:
    """A sentence about a job that ended without a result, from AWS Batch's description."""
    container = detail.get("container", {})
    reasons = (detail.get("statusReason"), container.get("reason"))
    text = " ".join(str(reason) for reason in reasons if reason)
    if NO_IMAGE in text:
        return "There is no training image yet. Run `make deploy` to build it, then start a run."
    if "CAPACITY:" in text:  # The reason of the job queue's own limit.
        return NO_MACHINE
    if container.get("exitCode") == KILLED:
        return "The training was killed, most likely for lack of memory. Raise TrainingMemory."
    if detail.get("status") == "SUCCEEDED":
        return "The job ended without reporting a result."
    exit_status = f" (exit status {container['exitCode']})" if "exitCode" in container else ""
    return f"The job failed{exit_status}: {text.rstrip('.') or 'AWS Batch gives no reason'}."
