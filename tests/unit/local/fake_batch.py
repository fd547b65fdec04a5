"""A fake cloud for reports, and the local AWS Batch with tiny commands as jobs."""

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx

from local.batch.definitions import definitions
from local.batch.jobs import Jobs
from local.batch.reports import Reporter
from local.batch.service import Batch
from tests.waiting import DEADLINE

ROLE = "arn:aws:iam::000000000000:role/job"

PROPERTIES = {
    "JobDefinitionName": "stack-training",
    "Parameters": {"word": "hello"},
    "RetryStrategy": {
        "Attempts": 3,
        "EvaluateOnExit": [
            {"OnExitCode": "2", "Action": "EXIT"},
            {"OnReason": "*", "Action": "RETRY"},
        ],
    },
    "Timeout": {"AttemptDurationSeconds": 30},
    "ContainerProperties": {
        "Command": ["sh", "-c", "exit 0"],
        "Environment": [{"Name": "TABLE", "Value": "table"}, {"Name": "A", "Value": "of all"}],
        "JobRoleArn": ROLE,
        "LogConfiguration": {
            "LogDriver": "awslogs",
            "Options": {"awslogs-group": "/aws/batch/stack", "awslogs-stream-prefix": "run"},
        },
    },
}


class AlreadyThere(Exception):
    """The fake's ResourceAlreadyExistsException."""


class FakeCloud:
    """The parts of CloudWatch, EventBridge and Lambda that reports use, in one client."""

    exceptions = SimpleNamespace(ResourceAlreadyExistsException=AlreadyThere)

    def __init__(self):
        self.invoked: list[tuple[str, dict]] = []
        self.streams: dict[tuple[str, str], list[str]] = {}
        self.fails_with: Exception | None = None

    def client(self, service: str) -> "FakeCloud":
        if self.fails_with:
            raise self.fails_with
        return self

    def get_paginator(self, call):
        batch = json.dumps({"source": ["aws.batch"]})
        rules = [
            {"Name": "batch", "State": "ENABLED", "EventPattern": batch},
            {"Name": "other", "State": "ENABLED", "EventPattern": '{"source": ["aws.s3"]}'},
            {"Name": "off", "State": "DISABLED", "EventPattern": batch},
            {"Name": "hourly", "State": "ENABLED", "ScheduleExpression": "rate(1 hour)"},
        ]
        return SimpleNamespace(paginate=lambda: [{"Rules": rules[:1]}, {"Rules": rules[1:]}])

    def test_event_pattern(self, EventPattern, Event):
        return {"Result": json.loads(Event)["source"] in json.loads(EventPattern)["source"]}

    def list_targets_by_rule(self, Rule):
        function = f"arn:aws:lambda:us-east-1:000000000000:function:{Rule}:live"
        return {"Targets": [{"Arn": function}, {"Arn": "arn:aws:sqs:us-east-1:000000000000:q"}]}

    def invoke(self, FunctionName, InvocationType, Payload):
        assert InvocationType == "Event"
        self.invoked.append((FunctionName, json.loads(Payload)))

    def create_log_group(self, logGroupName):
        raise AlreadyThere

    def create_log_stream(self, logGroupName, logStreamName):
        self.streams[logGroupName, logStreamName] = []

    def put_log_events(self, logGroupName, logStreamName, logEvents):
        lines = [event["message"] for event in logEvents]
        assert all(lines), "CloudWatch takes no empty message"
        self.streams[logGroupName, logStreamName] += lines

    @property
    def states(self) -> list[str]:
        """The states in the target's events, in order."""
        return [event["detail"]["status"] for _, event in self.invoked]


class StandIn:
    """The API and its jobs over one state folder."""

    def __init__(self, root, cloud: FakeCloud, credentials=None):
        (root / "state" / "logs").mkdir(parents=True, exist_ok=True)
        self.state = root / "state"
        self.cloud = cloud
        self.reports = Reporter(cloud, self.state / "logs")
        self.jobs = Jobs(
            root,
            self.state,
            self.reports,
            {"AWS_ENDPOINT_URL": "http://cloud"},
            credentials or (lambda role: {"ROLE": role}),
        )
        batch = Batch(self.jobs, definitions({"JobDefinition": PROPERTIES}))
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(batch.app), base_url="http://batch"
        )

    async def call(self, name: str, **request):
        answer = await self.http.post(f"/v1/{name.lower()}", json=request)
        return answer.json() if answer.is_success else answer

    async def submit(self, script: str, name: str = "run-1", **request) -> str:
        answer = await self.call(
            "SubmitJob",
            jobName=name,
            jobQueue="arn:aws:batch:us-east-1:000000000000:job-queue/JobQueue",
            jobDefinition="stack-training",
            containerOverrides={"command": ["sh", "-c", script], **request.pop("overrides", {})},
            **request,
        )
        return answer["jobId"]

    async def job(self, job_id: str) -> dict:
        return (await self.call("DescribeJobs", jobs=[job_id]))["jobs"][0]

    async def until(self, job_id: str, *states: str) -> dict:
        async with asyncio.timeout(DEADLINE):
            while (job := await self.job(job_id))["status"] not in states:
                await asyncio.sleep(0.02)
        return job

    async def log_has(self, text: str, name: str = "run-1") -> None:
        async with asyncio.timeout(DEADLINE):
            while text not in self.log(name):
                await asyncio.sleep(0.02)

    def log(self, name: str = "run-1") -> str:
        file = self.state / "logs" / f"job-{name}.log"
        return file.read_text() if file.exists() else ""


@asynccontextmanager
async def running(root, cloud=None, credentials=None):
    """A running stand-in, stopped as the stack stops it."""
    stand_in = StandIn(root, cloud or FakeCloud(), credentials)
    work = asyncio.create_task(stand_in.jobs.work())
    sending = asyncio.create_task(stand_in.reports.send())
    try:
        yield stand_in
    finally:
        stand_in.jobs.stop()
        await asyncio.wait_for(work, DEADLINE)
        stand_in.reports.close()
        await asyncio.wait_for(sending, DEADLINE)
        await stand_in.http.aclose()
