"""Training runs: one at a time, each told from its first moment to its last, none lost.

A run is an item of the table and one AWS Batch job of the same name. Whoever starts one takes the
lease and writes the run in one transaction, and submits the job afterwards: a crash in between
leaves a lease without a job, which `settle` finishes. The job tells how far it is; the lease is
freed by the event of the job's end, or by `settle` where that event was lost.
"""

import json
import re
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from clickbait import aws
from clickbait.errors import BadRequest, Conflict, NotFound, Unavailable
from clickbait.keys import LOCK_PARTITION, RUN_PARTITION
from clickbait.observability import count, logger
from clickbait.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_dynamodb import DynamoDBClient

QUEUED, RUNNING, EVALUATING = "QUEUED", "RUNNING", "EVALUATING"
PROMOTED, REJECTED, FAILED = "PROMOTED", "REJECTED", "FAILED"
STATES = (QUEUED, RUNNING, EVALUATING, PROMOTED, REJECTED, FAILED)
ENDED = (PROMOTED, REJECTED, FAILED)

RUNS = {"S": RUN_PARTITION}
LEASE = {"pk": {"S": LOCK_PARTITION}, "sk": {"S": "lease"}}
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")

SUBMIT_SECONDS = 90
"""A function that took the lease has submitted its job by then, or has ended: its timeout is 60."""

ONLY_WHOLE = ("log", "history")
"""What a list of runs leaves out."""

NO_IMAGE = "CannotPullContainer"
KILLED = 137
"""Exit status of a process ended by SIGKILL: on Fargate, by the kernel for want of memory."""


class Parameters(BaseModel):
    """What one run may be told to do differently; what is not given is the recipe's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: Literal["efficientnet_lite0", "cnn"] | None = Field(
        None, description="another one than the live model's is trained from scratch"
    )
    epochs: int | None = Field(None, ge=1, le=200, description="most passes over the images")
    batch_size: int | None = Field(None, ge=1, le=512, description="images a step")
    learning_rate: float | None = Field(None, ge=1e-6, le=0.1, description="peak")
    validation_split: float | None = Field(
        None, ge=0.05, le=0.5, description="validation's share of images that get a side now"
    )
    from_scratch: bool = Field(False, description="do not start from the live model's weights")
    skip_label_check: bool = Field(
        False, description="train although the live model contradicts the labels"
    )


class Runs:
    """The runs in the table, and their jobs."""

    def __init__(self, table: str, queue: str = "", definition: str = "") -> None:
        self.table, self.queue, self.definition = table, queue, definition

    @classmethod
    def from_settings(cls) -> Self:
        """Raises Unavailable where the process has no table."""
        config = settings()
        if not config.table:
            raise Unavailable("This process has no table of runs: TABLE is not set.")
        return cls(config.table, config.job_queue, config.job_definition)

    @property
    def db(self) -> "DynamoDBClient":
        client: DynamoDBClient = aws.client("dynamodb")
        return client

    @property
    def batch(self) -> "BatchClient":
        client: BatchClient = aws.client("batch")
        return client

    # --- reading ---------------------------------------------------------------------------------

    def get(self, run: str) -> dict[str, Any]:
        """One run, whole; raises NotFound."""
        found = self.db.get_item(TableName=self.table, Key=_key(run), ConsistentRead=True)
        if "Item" not in found:
            raise NotFound(f"There is no run {run[:40]!r}; GET /runs lists them.")
        return _run(found["Item"])

    def page(
        self, limit: int, cursor: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """`limit` runs, newest first, after the one that `cursor` names, and the next cursor.

        Raises BadRequest for a cursor that names no run.
        """
        start: Any = {}
        if cursor is not None:
            if not RUN_ID.fullmatch(cursor):
                raise BadRequest("The cursor is none that a list of runs ended with.")
            start = {"ExclusiveStartKey": _key(cursor)}
        found = self.db.query(
            TableName=self.table,
            KeyConditionExpression="pk = :runs",
            ExpressionAttributeValues={":runs": RUNS},
            ScanIndexForward=False,
            Limit=limit,
            **start,
        )
        last = found.get("LastEvaluatedKey")
        runs = [_run(item) for item in found["Items"]]
        for run in runs:
            for name in ONLY_WHOLE:
                run.pop(name, None)
        return runs, last["sk"]["S"] if last else None

    def latest(self) -> dict[str, Any] | None:
        """The newest run there is."""
        runs, _ = self.page(1)
        return runs[0] if runs else None

    def active(self) -> str | None:
        """The run that holds the lease."""
        lease = self._lease()
        return lease["run"]["S"] if lease else None

    # --- one run's way ---------------------------------------------------------------------------

    def request(self, trigger: str, parameters: Parameters, reason: str) -> dict[str, Any]:
        """Start a run and return it; raises Conflict, naming the one that is under way.

        Raises Unavailable where AWS Batch refuses the job; the run says so too.
        """
        now = datetime.now(UTC)
        run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        fields = {
            "reason": reason,
            "trigger": trigger,
            "parameters": parameters.model_dump(exclude_none=True),
            "created": now.isoformat(timespec="seconds"),
        }
        item = _key(run) | {name: {"S": json.dumps(value)} for name, value in fields.items()}
        item |= {"state": {"S": QUEUED}, f"at_{QUEUED}": {"S": _now()}}
        lease = LEASE | {"run": {"S": run}, "since": {"N": repr(time.time())}}
        free = "attribute_not_exists(pk)"
        try:
            self.db.transact_write_items(
                TransactItems=[
                    {
                        "Put": {
                            "TableName": self.table,
                            "Item": lease,
                            "ConditionExpression": free,
                        }
                    },
                    {"Put": {"TableName": self.table, "Item": item, "ConditionExpression": free}},
                ]
            )
        except self.db.exceptions.TransactionCanceledException as error:
            raise Conflict(
                f"Run {self.active()} is under way, and there is one at a time. "
                "GET /runs/{id} tells how far it is; ask again when it has ended.",
                run=self.active(),
            ) from error
        logger.info("run requested", run=run, trigger=trigger)
        self._submit(run)
        return self.get(run)

    def advance(self, run: str, state: str, reason: str, **fields: Any) -> bool:
        """Move `run` to `state`, with the reason as a sentence; False where it has ended already:
        an end is final."""
        return self._update(run, {"reason": reason, **fields}, state)

    def report(self, run: str, **fields: Any) -> bool:
        """Tell more of `run`, whatever its state; False where there is no such run or it has
        ended."""
        return self._update(run, fields)

    def on_job_ended(self, detail: Mapping[str, Any]) -> None:
        """Take in that a job ended (the `detail` of Batch's event, or a job as DescribeJobs has
        it): the run has an end, and the lease is free. Jobs that are no runs are ignored."""
        run = str(detail.get("jobName", ""))
        if not RUN_ID.fullmatch(run) or detail.get("status") not in ("SUCCEEDED", "FAILED"):
            return
        self._update(run, {"reason": _why(detail)}, FAILED)
        self._release(run)
        told = self.get_or_none(run)
        if told and told["state"] == FAILED:  # By its own words, or by ours.
            count("RunsFailed")
            logger.error("run failed", run=run, reason=told["reason"])

    def settle(self) -> None:
        """See to the run that holds the lease: submit it where whoever took it did not, end it
        where its job has ended and the event was lost."""
        lease = self._lease()
        if lease is None:
            return
        run, since = lease["run"]["S"], float(lease["since"]["N"])
        job = lease.get("job", {}).get("S") or self._job_named(run)
        if job:
            self._settle_job(run, job, known="job" in lease)
        elif (told := self.get_or_none(run)) is None or told["state"] in ENDED:
            self._release(run)
        elif time.time() - since > SUBMIT_SECONDS and self._claim(lease):
            logger.warning("run submitted again", run=run)
            self._submit(run)

    # --- the lease and the job -------------------------------------------------------------------

    def _settle_job(self, run: str, job: str, known: bool) -> None:
        found = self.batch.describe_jobs(jobs=[job])["jobs"]
        if not found:
            detail: Mapping[str, Any] = {
                "jobName": run,
                "status": "FAILED",
                "statusReason": "AWS Batch does not know the job any more",
            }
        else:
            detail = found[0]
            if not known:
                self._attach(run, job)
        self.on_job_ended(detail)

    def _submit(self, run: str) -> None:
        from botocore.exceptions import ClientError

        try:
            job = self.batch.submit_job(
                jobName=run,
                jobQueue=self.queue,
                jobDefinition=self.definition,
                containerOverrides={"environment": [{"name": "RUN_ID", "value": run}]},
            )["jobId"]
        except ClientError as error:
            why = f"AWS Batch refused the job: {error.response['Error']['Message']}"
            self.advance(run, FAILED, why)
            self._release(run)
            raise Unavailable(why) from error
        self._attach(run, job)

    def _attach(self, run: str, job: str) -> None:
        """Note the job of a run, in the lease and in the run."""
        self._write_lease("SET job = :job", "#run = :run", run, {":job": {"S": job}})
        self._update(run, {"job": job})

    def _claim(self, lease: Mapping[str, Any]) -> bool:
        """Be the one of many that submits a run which was left without a job."""
        values = {":now": {"N": repr(time.time())}, ":since": lease["since"]}
        condition = "#run = :run AND since = :since"
        return self._write_lease("SET since = :now", condition, lease["run"]["S"], values)

    def _write_lease(self, update: str, condition: str, run: str, values: dict[str, Any]) -> bool:
        try:
            self.db.update_item(
                TableName=self.table,
                Key=LEASE,
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={"#run": "run"},
                ExpressionAttributeValues={":run": {"S": run}, **values},
            )
        except self.db.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _release(self, run: str) -> None:
        """Free the lease where `run` holds it: a late event of an older one must not."""
        try:
            self.db.delete_item(
                TableName=self.table,
                Key=LEASE,
                ConditionExpression="#run = :run",
                ExpressionAttributeNames={"#run": "run"},
                ExpressionAttributeValues={":run": {"S": run}},
            )
        except self.db.exceptions.ConditionalCheckFailedException:
            return

    def _lease(self) -> dict[str, Any] | None:
        found = self.db.get_item(TableName=self.table, Key=LEASE, ConsistentRead=True)
        return found.get("Item")

    def _job_named(self, run: str) -> str | None:
        found = self.batch.list_jobs(
            jobQueue=self.queue, filters=[{"name": "JOB_NAME", "values": [run]}]
        )["jobSummaryList"]
        return found[0]["jobId"] if found else None

    def get_or_none(self, run: str) -> dict[str, Any] | None:
        try:
            return self.get(run)
        except NotFound:
            return None

    def _update(self, run: str, fields: Mapping[str, Any], state: str = "") -> bool:
        names = {f"#{i}": name for i, name in enumerate(fields)}
        values: dict[str, Any] = {
            f":{i}": {"S": json.dumps(value)} for i, value in enumerate(fields.values())
        }
        sets = [f"#{i} = :{i}" for i in range(len(fields))]
        if state:
            names |= {"#at": f"at_{state}"}
            values |= {":state": {"S": state}, ":at": {"S": _now()}}
            sets += ["#state = :state", "#at = if_not_exists(#at, :at)"]
        ends = {f":end{i}": {"S": end} for i, end in enumerate(ENDED)}
        try:
            self.db.update_item(
                TableName=self.table,
                Key=_key(run),
                UpdateExpression="SET " + ", ".join(sets),
                ConditionExpression=f"attribute_exists(pk) AND NOT #state IN ({', '.join(ends)})",
                ExpressionAttributeNames=names | {"#state": "state"},
                ExpressionAttributeValues=values | ends,
            )
        except self.db.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _key(run: str) -> dict[str, Any]:
    return {"pk": RUNS, "sk": {"S": run}}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _run(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as the run that it tells of."""
    told = {"id": item["sk"]["S"], "state": item["state"]["S"]}
    told["times"] = {s: item[f"at_{s}"]["S"] for s in STATES if f"at_{s}" in item}
    plain = {"pk", "sk", "state", *(f"at_{s}" for s in STATES)}
    return told | {
        name: json.loads(value["S"]) for name, value in item.items() if name not in plain
    }


def _why(detail: Mapping[str, Any]) -> str:
    """A sentence for a job that ended without a result, from what Batch says of it."""
    container = detail.get("container", {})
    said = " ".join(
        str(text) for text in (detail.get("statusReason"), container.get("reason")) if text
    )
    if NO_IMAGE in said:
        return "There is no training image yet: `make deploy` builds it; then ask for a run again."
    if container.get("exitCode") == KILLED:
        return "The training was killed, most likely for want of memory: raise TrainingMemory."
    if detail.get("status") == "SUCCEEDED":
        return "The job ended without saying what became of the model."
    exit_status = f" (exit status {container['exitCode']})" if "exitCode" in container else ""
    return f"The job failed{exit_status}: {said.rstrip('.') or 'AWS Batch gives no reason'}."
