"""`make serve`: the API with N workers, each on its own socket, without an emulator or AWS.

On Linux the kernel spreads connections over the sockets (SO_REUSEPORT); elsewhere the workers share
one socket. The supervisor owns the sockets. If a worker dies, a new one takes over its socket and
the connections that wait in it. A single worker runs in the main process, without a supervisor.
"""

import errno
import multiprocessing
import os
import resource
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from clickbait.errors import Problem
from clickbait.settings import SettingsError
from local.guard import die_with_parent
from local.serve.metrics import shared_figures
from local.serve.protocol import STALL_SECONDS
from local.serve.worker import BACKLOG, STOP_SECONDS, load_model, work
from local.settings import whole_number
from ops import StackError, pages

SPREADS = sys.platform == "linux"

DEATHS, DEATH_SECONDS = 10, 30.0
"""If DEATHS workers die within DEATH_SECONDS, the server ends."""

KILL_SECONDS = STOP_SECONDS + 2.0

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def listeners(host: str, port: int, workers: int) -> list[socket.socket]:
    """A listening socket for each worker; exits in one line if it cannot bind the address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With SO_REUSEPORT a second server of the same user would bind silently: try without it.
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        opened = []
        for _ in range(workers if SPREADS else 1):
            listener = socket.socket(family, kind, protocol)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if SPREADS:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(address)
            opened.append(listener)
        for listener in opened:
            listener.listen(BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sys.exit(f"port {port} of {host} is in use; PORT names another")
        sys.exit(f"cannot listen on {host}, port {port}: {error.strerror}")
    return opened if SPREADS else opened * workers


class Supervisor:
    """Keeps one worker on each socket until a signal stops it."""

    def __init__(
        self, sockets: list[socket.socket], serve: Callable[[socket.socket, int], None]
    ) -> None:
        self._sockets, self._serve = sockets, serve
        self._workers: dict[int, BaseProcess] = {}
        self._stopping = False

    def run(self) -> int:
        """Run until SIGINT, SIGTERM or SIGHUP; return the exit status, 1 if workers keep dying."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)
        deaths: deque[float] = deque(maxlen=DEATHS)
        for place in range(len(self._sockets)):
            self._start(place)
        while not self._stopping:
            wait([worker.sentinel for worker in self._workers.values()], timeout=1.0)
            for place, worker in list(self._workers.items()):
                if worker.is_alive() or self._stopping:
                    continue
                deaths.append(time.monotonic())
                if len(deaths) == DEATHS and deaths[-1] - deaths[0] < DEATH_SECONDS:
                    print(f"{DEATHS} workers died in {DEATH_SECONDS:.0f} s; ending", flush=True)
                    self._end()
                    return 1
                print(f"a worker ended ({worker.exitcode}) and is replaced", flush=True)
                self._start(place)
        self._end()
        return 0

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _start(self, place: int) -> None:
        worker = multiprocessing.Process(
            target=_work, args=(self._serve, self._sockets[place], place, os.getpid())
        )
        # A new worker has these handlers until it sets its own, and would lose a signal.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        worker.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        self._workers[place] = worker

    def _end(self) -> None:
        for listener in self._sockets:
            listener.close()
        for worker in self._workers.values():
            worker.terminate()
        deadline = time.monotonic() + KILL_SECONDS
        for worker in self._workers.values():
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.is_alive():
                worker.kill()
                worker.join()


def _work(
    serve: Callable[[socket.socket, int], None], listener: socket.socket, place: int, parent: int
) -> None:
    """Run a worker that ends with its parent, even if that is killed."""
    die_with_parent()
    if os.getppid() != parent:
        return
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    serve(listener, place)


def _leave(*_: object) -> None:
    sys.exit(0)


def main() -> None:
    """Check the settings and the model, with each error in one line, then serve."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # A server with one worker raises the signal that stopped it again, and is well then.
        signal.signal(number, _leave)
    host = os.environ.get("HOST") or os.environ.get("API_HOST") or "127.0.0.1"
    variable = "PORT" if os.environ.get("PORT") else "API_PORT"
    try:
        port = whole_number(os.environ, variable, 8000, 65_535)
        workers = whole_number(os.environ, "WORKERS", os.cpu_count() or 1, 256)
        stall = whole_number(os.environ, "STALL_SECONDS", STALL_SECONDS, 3_600)
        if os.environ.get("SITE_DIR"):
            pages.read(Path(os.environ["SITE_DIR"]))
        sockets = listeners(host, port, workers)
        load_model()
    except (SettingsError, StackError, Problem) as error:
        sys.exit(str(error))
    with suppress(ValueError, OSError):
        # Each connection is an open file, and the default limit is 1,024.
        _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
    address = f"[{host}]" if ":" in host else host
    print(
        f"serving on http://{address}:{port}, {workers} worker{'s' if workers > 1 else ''}; "
        "/status says when ready",
        flush=True,
    )
    serve = partial(work, shared=shared_figures(workers), stall_seconds=stall)
    if workers == 1:
        serve(sockets[0], 0)
    else:
        # Forked workers start at once and share the memory of the model.
        multiprocessing.set_start_method("fork" if SPREADS else "spawn")
        sys.exit(Supervisor(sockets, serve).run())


if __name__ == "__main__":
    main()
