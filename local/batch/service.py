"""The part of AWS Batch's API that the service uses, for the jobs of this machine."""

import re
import socket
import time
import uuid
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from local.batch.definitions import Definition, arn, log_stream, name_in, substitute
from local.batch.jobs import Jobs
from local.batch.reports import Detail
from local.settings import HOST

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
"""AWS Batch's rule for job names; here the name is also part of a file name."""

SUMMARY = (
    "jobArn",
    "jobId",
    "jobName",
    "createdAt",
    "status",
    "statusReason",
    "startedAt",
    "stoppedAt",
    "jobDefinition",
)


class _Refused(Exception):
    """Raise for a request that AWS Batch refuses with a ClientException."""


def listener() -> socket.socket:
    """A socket on a free port of loopback, in which callers wait until the API answers."""
    opened = socket.socket()
    opened.bind((HOST, 0))
    opened.listen()
    return opened


class Batch:
    """The API for `jobs`; `definitions` has the job definitions by name and logical id."""

    def __init__(self, jobs: Jobs, definitions: Mapping[str, Definition]) -> None:
        self._jobs = jobs
        self._definitions = definitions

    @property
    def app(self) -> Starlette:
        """The ASGI application with AWS's paths."""
        calls = {
            "submitjob": self._submit,
            "describejobs": self._describe,
            "listjobs": self._list,
            "terminatejob": self._terminate,
            "canceljob": self._cancel,
        }

        async def answer(request: Request) -> JSONResponse:
            call = calls.get(request.path_params["call"])
            try:
                if call is None:
                    raise _Refused(f"the local AWS Batch supports only {', '.join(sorted(calls))}")
                return JSONResponse(call(await request.json()))
            except _Refused as error:
                headers = {"x-amzn-errortype": "ClientException"}
                return JSONResponse({"message": str(error)}, 400, headers)

        return Starlette(routes=[Route("/v1/{call:path}", answer, methods=["POST"])])

    def _submit(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request.get("jobName", "")
        if not NAME.fullmatch(name):
            raise _Refused(f"jobName {name!r} is not 1 to 128 letters, digits, hyphens, _")
        reference = request.get("jobDefinition", "")
        definition = self._definitions.get(name_in(reference))
        if definition is None:
            raise _Refused(f"JobDefinition {reference} not found")
        overrides = request.get("containerOverrides") or {}
        parameters = definition.parameters | (request.get("parameters") or {})
        overridden = {each["name"]: each["value"] for each in overrides.get("environment", [])}
        defined = {each["name"]: each["value"] for each in definition.container["environment"]}
        environment = [{"name": n, "value": v} for n, v in (defined | overridden).items()]
        command = overrides.get("command") or definition.container["command"]
        job_id = str(uuid.uuid4())
        job: Detail = {
            "jobArn": arn("job", job_id),
            "jobId": job_id,
            "jobName": name,
            "jobQueue": arn("job-queue", name_in(request.get("jobQueue", ""))),
            "jobDefinition": f"{arn('job-definition', definition.name)}:1",
            "status": "SUBMITTED",
            "createdAt": int(time.time() * 1000),
            "attempts": [],
            "dependsOn": [],
            "parameters": parameters,
            "retryStrategy": definition.retry | (request.get("retryStrategy") or {}),
            "timeout": request.get("timeout") or definition.timeout,
            "tags": request.get("tags") or {},
            "container": definition.container
            | {
                "command": substitute(command, parameters),
                "environment": environment,
                "logStreamName": log_stream(definition, job_id),
            },
        }
        self._jobs.submit(job)
        return {key: job[key] for key in ("jobArn", "jobId", "jobName")}

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        found = [self._jobs.get(name_in(each)) for each in request.get("jobs", [])]
        return {"jobs": [job for job in found if job is not None]}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        """The jobs of a queue, either those in one state or those with one name."""
        queue = arn("job-queue", name_in(request.get("jobQueue", "")))
        jobs = [job for job in self._jobs.all() if job["jobQueue"] == queue]
        filters = request.get("filters") or []
        for each in filters:
            if each["name"] != "JOB_NAME":
                raise _Refused(f"the local AWS Batch filters by JOB_NAME only, not {each['name']}")
            patterns = [pattern.lower() for pattern in each["values"]]
            jobs = [j for j in jobs if any(fnmatchcase(j["jobName"].lower(), p) for p in patterns)]
        if not filters:
            status = request.get("jobStatus") or "RUNNING"
            jobs = [job for job in jobs if job["status"] == status]
        return {"jobSummaryList": [_summary(job) for job in jobs]}

    def _terminate(self, request: dict[str, Any]) -> dict[str, Any]:
        self._jobs.terminate(self._job_in(request), request.get("reason", ""))
        return {}

    def _cancel(self, request: dict[str, Any]) -> dict[str, Any]:
        self._jobs.terminate(self._job_in(request), request.get("reason", ""), running=False)
        return {}

    def _job_in(self, request: dict[str, Any]) -> Detail:
        job = self._jobs.get(request.get("jobId", ""))
        if job is None:
            raise _Refused(f"Job {request.get('jobId')} not found")
        return job


def _summary(job: Detail) -> dict[str, Any]:
    code = job["container"].get("exitCode")
    container = {} if code is None else {"container": {"exitCode": code}}
    return {key: job[key] for key in SUMMARY if key in job} | container
