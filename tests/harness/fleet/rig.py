"""Start whole fleets with Flower as users do, by their commands, on the loopback."""

import contextlib
import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import safetensors.torch

from tests.waiting import LIMIT_S

ROOT = Path(__file__).parents[3]
TINY = {
    "tasks": "s", "methods": "all-in-one", "images": 8, "unseen-buildings": 1, "unseen-images": 4,
    "rounds": 3, "batch-size": 2, "evaluate-every": 1, "size": 32, "idle-s": 0.2, "threads": 1,
}  # fmt: skip
CONSTANT_20_W = "simulated:kind=counter,shape=constant,high_w=20"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def environment() -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


class Rig:
    """Own a server and its nodes, each in a session of its own."""

    def __init__(self, folder: Path, cache: Path, clients: int = 2, **options: object) -> None:
        self.folder, self.cache = folder, cache
        self.port = free_port()
        self.options = {**TINY, "clients": clients, "clients-per-round": clients, **options}
        self.running: dict[str, subprocess.Popen] = {}
        self.prefix: dict[str, list[str]] = {}
        self.secure = False

    def start(self, name: str, *words: str) -> subprocess.Popen:
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self.running[name] = subprocess.Popen(
                [*self.prefix.get(name, []), sys.executable, "-m", "harness.fleet", *words],
                cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True, env=environment(),
            )  # fmt: skip
        return self.running[name]

    def server(self, *more: str, host: str = "127.0.0.1") -> subprocess.Popen:
        words = [f"--{k}={v}" for k, v in self.options.items()]
        safety = [] if self.secure else ["--insecure"]
        return self.start(
            "server", "server", f"--host={host}", f"--port={self.port}", f"--cache={self.cache}",
            "--out=out", "--state=state", *safety, *words, *more,
        )  # fmt: skip

    def node(self, index: int, *more: str, host: str = "127.0.0.1", name: str = "") -> None:
        name = name or f"n{index}"
        safety = [f"--keys=keys/{name}"] if self.secure else ["--insecure"]
        self.start(
            name, "node", f"--server={host}:{self.port}", f"--partition={index}",
            f"--name={name}", "--threads=1", f"--cache={self.cache}", "--state=state",
            f"--meter={CONSTANT_20_W}", *safety, *more,
        )  # fmt: skip

    def log(self, name: str = "server") -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / f"{name}.log").read_text(errors="replace")
        return ""

    def wait_for(self, text: str, timeout_s: float = LIMIT_S, name: str = "server") -> None:
        end_s = time.monotonic() + timeout_s
        while text not in self.log(name):
            assert self.running[name].poll() is None, self.log(name)
            assert time.monotonic() < end_s, self.log(name)
            time.sleep(0.05)

    def finish(self, timeout_s: float = LIMIT_S) -> int:
        return self.running["server"].wait(timeout_s)

    def child(self, name: str, word: str) -> int:
        """Return the process of a program that a command started."""
        parent = self.running[name].pid
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError, ValueError):
                own = (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_bytes().decode()
                if int(own[1]) == parent and word in words:
                    return int(entry.name)
        raise AssertionError(f"{name} has no child {word}")

    def stop(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def run(self) -> Path:
        (found,) = (p for p in (self.folder / "out").iterdir() if (p / "cells.csv").exists())
        return found


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open() as stream:
        return list(csv.DictReader(stream))


def weights(folder: Path) -> dict[str, dict]:
    return {
        path.name: safetensors.torch.load_file(path)
        for path in sorted((folder / "checkpoints").rglob("*.safetensors"))
    }
