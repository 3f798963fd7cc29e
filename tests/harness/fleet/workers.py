"""Start real worker processes and carry frames to them over their sockets, without Flower."""

import contextlib
import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from harness.fleet.transport import Arrival
from harness.fleet.wire import Frame, WireError, connect, receive_frame, send_frame
from tests.waiting import LIMIT_S

ROOT = Path(__file__).parents[3]
CONSTANT_20_W = "simulated:kind=counter,shape=constant,high_w=20"


class WorkerProcess:
    """Run `harness.fleet.worker` in a session of its own, so that it can be killed whole."""

    def __init__(self, folder: Path, partition: str, *, cache: Path, meter=CONSTANT_20_W,
                 program="harness.fleet.worker", **more):  # fmt: skip
        self.socket = folder / f"worker-{partition}.sock"
        self.log = folder / f"worker-{partition}.log"
        options = {"socket": self.socket, "partition": partition, "cache": cache,
                   "device": "x86", "meter": meter, "threads": "1", **more}  # fmt: skip
        words = [f"--{k.replace('_', '-')}={v}" for k, v in options.items()]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(
            [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}  # fmt: skip
        self._before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", program, f"--parent={os.getpid()}", *words],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                env=environment,
            )  # fmt: skip

    def wait_ready(self, timeout_s: float = LIMIT_S) -> "WorkerProcess":
        end_s = time.monotonic() + timeout_s
        while "ready " not in self.log.read_text()[self._before :]:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end_s, self.log.read_text()
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class WorkerSockets:
    """Carry frames straight to workers; implements `harness.fleet.transport.Transport`.

    `interfere` may change, drop (None) or hold back an answer, as a network or a bad node would.
    """

    def __init__(self, paths: Sequence[Path], interfere=None) -> None:
        self.paths = dict(enumerate(paths))
        self.gone: set[int] = set()
        self.interfere = interfere or (lambda _node, _request, answer: answer)
        self.sent: list[tuple[int, Frame]] = []
        self._tickets = itertools.count(1)
        self._arrivals: queue.Queue[Arrival] = queue.Queue()

    def nodes(self) -> set[int]:
        return set(self.paths) - self.gone

    def send(self, node: int, frame: Frame, keep_s: float) -> int:
        ticket = next(self._tickets)
        self.sent.append((node, frame))
        threading.Thread(target=self._ask, args=(ticket, node, frame), daemon=True).start()
        return ticket

    def _ask(self, ticket: int, node: int, frame: Frame) -> None:
        try:
            with connect(str(self.paths[node]), 120.0) as link:
                send_frame(link, frame)
                answer = receive_frame(link)
        except (OSError, WireError) as error:
            self._arrivals.put(Arrival(ticket, node, None, f"lost: {error}"))
            return
        answer = self.interfere(node, frame, answer)
        if answer is not None:
            self._arrivals.put(Arrival(ticket, node, answer))

    def arrivals(self, wait_s: float) -> list[Arrival]:
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self._arrivals.get(timeout=wait_s))
            while True:
                found.append(self._arrivals.get_nowait())
        return found
