"""`make up`: starts everything in order, prints `ready` when it answers, and stops everything."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any, NoReturn

import httpx
import uvicorn
from botocore.exceptions import BotoCoreError, ClientError

from local import template
from local.batch.definitions import definitions
from local.batch.jobs import Jobs
from local.batch.reports import Reporter
from local.batch.service import Batch, listener
from local.cloud import SAVE_EVERY_SECONDS, Cloud
from local.deploy import STACK_NAME, Deployed, deploy
from local.emf import LogReader
from local.gateway import Gateway
from local.heads import BoundedHeads
from local.settings import ACCESS, HOST, REGION, StackSettings
from local.site import Site, file_rule, headers_of
from ops import LOCAL_KEYS, StackError, pages

ROOT = Path(__file__).resolve().parents[1]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

FIRST_RESPONSE_SECONDS = 180.0
"""A worker's first response takes 1 to 2 s, for imports and the model; on a busy machine, longer
than the gateway waits."""

GRACE_SECONDS = 1.0
"""Requests under way when the stack stops may take this long; then they get 503."""

REPORT_SECONDS = 5.0
"""How long the stack waits at its end to send the last reports of jobs to the cloud."""

SHOWN_LINES = 12
ERROR_WORDS = ("ERROR", "CRITICAL", "Error", "Traceback")

logger = logging.getLogger(__name__)


class _Stopped(BaseException):
    """A signal stopped the stack before it served.

    Like KeyboardInterrupt this is no Exception, so that no library catches it on its way.
    """


def up(settings: StackSettings, lock: IO[str]) -> None:
    """Run the stack until a signal stops it; `settings.prepare` returns its `lock`.

    Raises StackError or boto3's errors if the stack cannot start or fails; nothing is left running.
    """
    settings.description.unlink(missing_ok=True)
    files = pages.read(ROOT / "frontend" / "dist")
    callers = listener()
    cloud = Cloud(settings, f"http://{HOST}:{callers.getsockname()[1]}", lock)
    settings.functions_log.write_bytes(b"")
    with _stopping_at_signals():
        try:
            started = time.monotonic()
            cloud.start()
            baseline = ROOT / "layers" / "baseline" / "baseline"
            prepared = template.prepare(
                ROOT,
                settings.parameters,
                {"MODEL_PATH": str(baseline), "METRICS_CACHE": "0"} | settings.of_functions,
            )
            files[pages.CONFIG] = pages.config(settings.api_url, ACCESS, STACK_NAME)
            source = template.read(ROOT / "template.yaml")
            headers = headers_of(source, settings.api_url, settings.cloud_url)
            site = Site(files, headers, file_rule(source))
            cloud.wait()
            deployed = deploy(cloud, prepared)
            cloud.save()
            _say(f"cloud on {settings.cloud_url}, deployed in {time.monotonic() - started:.1f} s")
            asyncio.run(_serve(settings, cloud, deployed, site, callers))
        except _Stopped:
            pass
        except (StackError, BotoCoreError, ClientError):
            _show_errors(cloud.log, whole=not cloud.alive)
            _show_errors(settings.functions_log)
            raise
        finally:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # Stopping takes a bounded time.
            _say("stopping")
            settings.description.unlink(missing_ok=True)
            callers.close()
            cloud.stop()


async def _serve(
    settings: StackSettings, cloud: Cloud, deployed: Deployed, site: Site, callers: socket.socket
) -> None:
    """Serve until a signal comes; raises StackError if the cloud or the gateway fails."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    clients = cloud.client("logs"), cloud.client("cloudwatch")
    reader = LogReader(*clients, deployed.log_groups, settings.functions_log)
    await asyncio.to_thread(reader.trim)
    gateway = Gateway(settings.cloud_url, deployed.api_id, settings.workers)
    server = _server(gateway, port=settings.api_port)
    page = _server(site, port=settings.site_port)
    reports = Reporter(cloud, settings.logs)
    jobs = _jobs(settings, cloud, reports)
    batch = _server(Batch(jobs, definitions(deployed.jobs)).app)
    serving = asyncio.create_task(server.serve())
    work = [
        serving,
        asyncio.create_task(page.serve()),
        asyncio.create_task(batch.serve(sockets=[callers])),
        asyncio.create_task(jobs.work()),
        asyncio.create_task(_read_logs(cloud, reader, stop)),
        asyncio.create_task(_supervise(settings, cloud, stop)),
        asyncio.create_task(_save_often(cloud, stop)),
    ]
    reporting = asyncio.create_task(reports.send())
    ready = asyncio.create_task(_get_ready(settings, cloud, deployed))
    try:
        until = [*work, reporting]
        done, _ = await asyncio.wait([*until, ready], return_when=asyncio.FIRST_COMPLETED)
        if ready in done:
            ready.result()
            done, _ = await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        ready.cancel()
        stop.set()
        jobs.stop()
        server.should_exit = page.should_exit = batch.should_exit = True
        await asyncio.wait([serving], timeout=GRACE_SECONDS)
        gateway.give_up()
        await asyncio.gather(*work, ready, return_exceptions=True)
        reports.close()
        await asyncio.wait([reporting], timeout=REPORT_SECONDS)
        reporting.cancel()
        await gateway.close()


def _jobs(settings: StackSettings, cloud: Cloud, reports: Reporter) -> Jobs:
    """The jobs of this stack, which run in the checkout and use this cloud."""

    def credentials(role: str) -> dict[str, str]:
        if not settings.auth or not role:
            return LOCAL_KEYS
        longest = 12 * 3600  # Three times the time limit of a training.
        issued = cloud.client("sts").assume_role(
            RoleArn=role, RoleSessionName="job", DurationSeconds=longest
        )["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": issued["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": issued["SecretAccessKey"],
            "AWS_SESSION_TOKEN": issued["SessionToken"],
        }

    environment = {
        "AWS_ENDPOINT_URL": settings.cloud_url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        # As in the image; also right if the checkout was moved after its environments were built.
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'layers' / 'clickbait' / 'python'}",
    }
    return Jobs(ROOT, settings.state_dir, reports, environment, credentials)


def _server(app: Any, port: int = 0) -> "_Server":
    return _Server(
        uvicorn.Config(
            app,
            host=HOST,
            port=port,
            http=BoundedHeads,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
        )
    )


class _Server(uvicorn.Server):
    """A server that leaves signals to the stack."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _read_logs(cloud: Cloud, reader: LogReader, stop: asyncio.Event) -> None:
    """Read the functions' lines until the end, and once more after it."""
    while not stop.is_set():
        pause = await asyncio.to_thread(_read_once, cloud, reader)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
    await asyncio.to_thread(_read_once, cloud, reader)


def _read_once(cloud: Cloud, reader: LogReader) -> float:
    try:
        return reader.read()
    except (BotoCoreError, ClientError) as error:  # The service goes on without metrics.
        if cloud.alive:
            logger.warning("The functions' log lines could not be read: %s", error)
        return 5.0


async def _supervise(settings: StackSettings, cloud: Cloud, stop: asyncio.Event) -> None:
    while not stop.is_set():
        if not cloud.alive:
            raise StackError(f"The emulator ended unexpectedly; see {cloud.log}.")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.5)


async def _save_often(cloud: Cloud, stop: asyncio.Event) -> None:
    """Save the state at intervals until the end; warn once when that fails."""
    failing = False
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), SAVE_EVERY_SECONDS)
        try:
            if not stop.is_set():
                await asyncio.to_thread(cloud.save)
            failing = False
        except StackError as error:
            if cloud.alive and not failing:
                logger.warning("If the stack is killed now, it loses what came last: %s", error)
            failing = True


async def _get_ready(settings: StackSettings, cloud: Cloud, deployed: Deployed) -> None:
    """Warm up every worker through the gateway, write the files for scripts, print `ready`."""
    urls = [f"{settings.site_url}/", *[f"{settings.api_url}/status"] * settings.workers]
    async with httpx.AsyncClient(trust_env=False, timeout=None) as client:
        await asyncio.gather(*(_first_response(client, url) for url in urls))
    secret = deployed.outputs["AdminSecret"]
    token = cloud.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    _write_atomically(settings.admin_token, token)
    description = {
        "api_url": settings.api_url,
        "site_url": settings.site_url,
        "cloud_url": settings.cloud_url,
        "region": REGION,
        # In the template these two have AWS's hosts.
        "outputs": deployed.outputs | {"ApiUrl": settings.api_url, "SiteUrl": settings.site_url},
    }
    _write_atomically(settings.description, json.dumps(description, indent=2))
    _say(f"admin token: {settings.admin_token}, addresses: {settings.description}")
    _say(
        f"ready: the page is on {settings.site_url}/#token={token} , "
        f"the API on {settings.api_url} (Ctrl-C stops it)"
    )


async def _first_response(client: httpx.AsyncClient, url: str) -> None:
    """Return after a 200; raise StackError for another status or after FIRST_RESPONSE_SECONDS.

    After a 503 it asks again: the gateway has given up, but the worker goes on starting.
    """
    response: httpx.Response | None = None
    try:
        async with asyncio.timeout(FIRST_RESPONSE_SECONDS):
            while response is None or response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                with contextlib.suppress(httpx.ConnectError):  # The server is still starting.
                    response = await client.get(url)
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        if response is None:
            raise StackError(
                f"GET {url} had no response in {FIRST_RESPONSE_SECONDS:.0f} s."
            ) from error
    except httpx.HTTPError as error:
        raise StackError(f"GET {url} failed: {error!r}") from error
    if response.status_code != httpx.codes.OK:
        raise StackError(f"GET {url} answers {response.status_code}: {response.text[:500]}")


def _write_atomically(file: Path, text: str) -> None:
    """Write a file that only its user can read, all at once."""
    draft = file.with_suffix(".part")
    draft.unlink(missing_ok=True)
    with open(draft, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as opened:
        opened.write(text + "\n")
    draft.replace(file)


@contextlib.contextmanager
def _stopping_at_signals() -> Iterator[None]:
    """Raise _Stopped in the main thread for the signals that stop the stack."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise _Stopped

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show_errors(log: Path, whole: bool = False) -> None:
    """Print the last error lines of a log, or with `whole` its last lines of any kind."""
    if not log.exists():
        return
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if any(word in line for word in ERROR_WORDS)]
    for line in (lines if whole else errors)[-SHOWN_LINES:]:
        print(f"  {log.name}: {line[:500]}", file=sys.stderr)


def _say(line: str) -> None:
    """Print a line; the user may have closed the terminal."""
    with contextlib.suppress(OSError):
        print(line, flush=True)
