"""The stand-in answers as AWS Batch does, for as much of it as the service calls."""

import asyncio

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError

from local.batch.definitions import arn, definitions
from local.batch.service import Batch, listener

from .fake_batch import PROPERTIES, FakeCloud, StandIn, running

QUEUE = "arn:aws:batch:us-east-1:000000000000:job-queue/JobQueue"


def refusal(answer) -> str:
    assert answer.status_code == 400
    assert answer.headers["x-amzn-errortype"] == "ClientException"
    return answer.json()["message"]


def test_a_submitted_job_is_its_definition_with_what_was_asked_for(tmp_path):
    async def scenario():
        async with running(tmp_path) as batch:
            request = {
                "jobName": "20260101-000000-abcdef",
                "jobQueue": "JobQueue",
                "jobDefinition": arn("job-definition", "JobDefinition:1"),
                "parameters": {"word": "bye"},
                "containerOverrides": {
                    "command": ["echo", "Ref::word", "Ref::none"],
                    "environment": [
                        {"name": "A", "value": "of one"},
                        {"name": "RUN_ID", "value": "x"},
                    ],
                },
                "retryStrategy": {"attempts": 1},
            }
            job = await batch.call("SubmitJob", **request)
            assert set(job) == {"jobArn", "jobId", "jobName"}
            return await batch.job(job["jobArn"])

    job = asyncio.run(scenario())
    assert job["jobQueue"] == QUEUE
    assert job["jobDefinition"].endswith(":job-definition/stack-training:1")
    assert job["container"]["command"] == ["echo", "bye", "Ref::none"]
    environment = {each["name"]: each["value"] for each in job["container"]["environment"]}
    assert environment == {"TABLE": "table", "A": "of one", "RUN_ID": "x"}
    assert job["container"]["logStreamName"] == f"run/default/{job['jobId']}"
    assert job["retryStrategy"]["attempts"] == 1
    assert len(job["retryStrategy"]["evaluateOnExit"]) == 2
    assert job["timeout"] == {"attemptDurationSeconds": 30}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"jobName": "../up", "jobDefinition": "stack-training"}, "jobName '../up'"),
        ({"jobName": "", "jobDefinition": "stack-training"}, "jobName ''"),
        ({"jobName": "a", "jobDefinition": "other"}, "JobDefinition other not found"),
    ],
)
def test_what_aws_refuses_is_refused(tmp_path, fields, named):
    async def scenario():
        async with running(tmp_path) as batch:
            assert named in refusal(await batch.call("SubmitJob", jobQueue="JobQueue", **fields))

    asyncio.run(scenario())


def test_jobs_are_listed_by_state_or_by_name_in_any_state(tmp_path):
    async def scenario():
        async with running(tmp_path) as batch:
            done = await batch.submit("exit 0", "run-1")
            await batch.until(done, "SUCCEEDED")
            now = await batch.submit("sleep 9999", "run-2")
            await batch.until(now, "RUNNING")

            async def listed(**request):
                found = await batch.call("ListJobs", **({"jobQueue": QUEUE} | request))
                return [job["jobName"] for job in found["jobSummaryList"]]

            assert await listed() == ["run-2"]
            assert await listed(jobStatus="SUCCEEDED") == ["run-1"]
            assert await listed(jobStatus="FAILED") == []
            assert await listed(filters=[{"name": "JOB_NAME", "values": ["RUN-1"]}]) == ["run-1"]
            both = await listed(filters=[{"name": "JOB_NAME", "values": ["run-*"]}])
            assert both == ["run-2", "run-1"]
            assert await listed(filters=[{"name": "JOB_NAME", "values": ["run"]}]) == []
            assert await listed(jobQueue="another") == []
            unknown = {"jobQueue": QUEUE, "filters": [{"name": "AFTER_CREATED_AT", "values": []}]}
            assert "AFTER_CREATED_AT" in refusal(await batch.call("ListJobs", **unknown))

    asyncio.run(scenario())


def test_unknown_jobs_and_calls_are_told(tmp_path):
    async def scenario():
        async with running(tmp_path) as batch:
            assert await batch.call("DescribeJobs", jobs=["x"]) == {"jobs": []}
            for call in ("TerminateJob", "CancelJob"):
                message = refusal(await batch.call(call, jobId="x", reason="y"))
                assert message == "Job x not found"
            assert "submitjob" in refusal(await batch.call("CreateJobQueue"))

    asyncio.run(scenario())


def test_boto3_talks_to_it_also_before_it_answers(tmp_path):
    """Callers wait in the socket, which is there before the emulator starts."""
    callers = listener()
    client = boto3.client(
        "batch",
        endpoint_url=f"http://127.0.0.1:{callers.getsockname()[1]}",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )

    def use_it():
        job = client.submit_job(jobName="a", jobQueue=QUEUE, jobDefinition="stack-training")
        described = client.describe_jobs(jobs=[job["jobId"]])["jobs"][0]
        by_name = [{"name": "JOB_NAME", "values": ["a"]}]
        listed = client.list_jobs(jobQueue=QUEUE, filters=by_name)["jobSummaryList"]
        with pytest.raises(ClientError, match="not found") as refused:
            client.submit_job(jobName="a", jobQueue=QUEUE, jobDefinition="none")
        client.terminate_job(jobId=job["jobId"], reason="enough")
        return described["jobName"], listed[0]["jobId"] == job["jobId"], refused.value

    async def scenario():
        asking = asyncio.create_task(asyncio.to_thread(use_it))
        await asyncio.sleep(0.2)
        stand_in = StandIn(tmp_path, FakeCloud())
        batch = Batch(stand_in.jobs, definitions({"JobDefinition": PROPERTIES}))
        server = uvicorn.Server(
            uvicorn.Config(batch.app, lifespan="off", ws="none", log_level="error")
        )
        serving = asyncio.create_task(server.serve(sockets=[callers]))
        answers = await asking
        server.should_exit = True
        await serving
        await stand_in.http.aclose()
        return answers

    name, found, refused = asyncio.run(scenario())
    client.close()
    assert (name, found) == ("a", True)
    assert refused.response["Error"]["Code"] == "ClientException"
