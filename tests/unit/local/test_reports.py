"""A job's changes reach the functions, and its lines CloudWatch; if not, the job goes on."""

import asyncio
import logging

from botocore.exceptions import EndpointConnectionError

from tests.waiting import DEADLINE

from .fake_batch import FakeCloud, running


def test_a_change_is_an_event_as_event_bridge_sends_it_to_the_targets_of_rules_that_match(tmp_path):
    cloud = FakeCloud()

    async def scenario():
        async with running(tmp_path, cloud) as batch:
            return await batch.until(await batch.submit("exit 0"), "SUCCEEDED")

    job = asyncio.run(scenario())
    assert {target for target, _ in cloud.invoked} == {
        "arn:aws:lambda:us-east-1:000000000000:function:batch:live"
    }
    event = cloud.invoked[-1][1]
    assert event["source"] == "aws.batch"
    assert event["detail-type"] == "Batch Job State Change"
    assert event["resources"] == [job["jobArn"]]
    assert event["detail"] == job
    assert set(event) >= {"version", "id", "account", "time", "region"}


def test_lines_reach_cloudwatch_while_the_job_runs(tmp_path):
    cloud = FakeCloud()

    async def scenario():
        async with running(tmp_path, cloud) as batch:
            job_id = await batch.submit("echo one; sleep 9999")
            async with asyncio.timeout(DEADLINE):
                while ["one"] not in [lines[-1:] for lines in cloud.streams.values()]:
                    await asyncio.sleep(0.02)
            assert (await batch.job(job_id))["status"] == "RUNNING"
            return job_id

    job_id = asyncio.run(scenario())
    assert list(cloud.streams) == [("/aws/batch/stack", f"run/default/{job_id}")]


def test_a_cloud_that_does_not_answer_does_not_keep_a_job_from_its_end(tmp_path, caplog):
    cloud = FakeCloud()
    cloud.fails_with = EndpointConnectionError(endpoint_url="http://cloud")

    async def scenario():
        async with running(tmp_path, cloud) as batch:
            await batch.until(await batch.submit("echo said"), "SUCCEEDED")
            return batch.log()

    with caplog.at_level(logging.WARNING):
        assert "said" in asyncio.run(scenario())
    assert "run-1" in caplog.text and "http://cloud" in caplog.text
