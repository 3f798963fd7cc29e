"""Start Flower's programs as children, watch them, and end them.

There is no public call that starts a SuperLink or SuperNode; the programs and `flwr --format json`
are what stays the same between releases. Nothing of them leaves the network: telemetry, the look
for updates and the installation of packages are switched off here, not in the documentation.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devices.own_modules import module_words
from harness.core.errors import FleetError
from harness.fleet.app.guarded import guarded_programs
from harness.fleet.flower_lines import FlowerLine, Ports, Tls, program
from harness.fleet.reach import direct_hosts

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
APP = Path(__file__).parent / "app"
_PROJECT = Path(__file__).resolve().parents[2]


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a program of Flower's whose files lie in `home`."""
    own_programs = _own_programs(home)
    folders = [str(own_programs), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    paths = [str(_PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PATH": os.pathsep.join(folders), "PYTHONPATH": os.pathsep.join(paths)}
    told = {**os.environ, "NO_COLOR": "1", **QUIET, **own, "FLWR_HOME": str(home)}
    return {**told, **past_proxies(direct_hosts())}


def past_proxies(hosts: Sequence[str]) -> dict[str, str]:
    """Return the environment that lets programs reach hosts directly, whatever proxy is set."""
    before = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    listed = ",".join(dict.fromkeys([*filter(None, before.split(",")), *hosts]))
    return {"no_proxy": listed, "NO_PROXY": listed}


def _own_programs(home: Path) -> Path:
    """Return a folder whose programs stand before Flower's: ones that show nobody their tokens."""
    folder = home / "bin"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in guarded_programs():
        script = folder / name
        words = shlex.join([*module_words("harness.fleet.app.guarded"), name])
        text = f'#!/bin/sh\nexec {words} "$@"\n'
        if not script.exists() or script.read_text() != text:
            script.write_text(text)
            script.chmod(0o700)
    return folder


LEASH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: end when the parent does
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def _leashed(words: Sequence[str]) -> list[str]:
    """Return a command that ends with this process, however that ends."""
    return [sys.executable, "-c", LEASH, str(os.getpid()), *words]


@dataclass
class ChildPrograms:
    """Own child processes, each in a session of its own with a log file; ended together."""

    folder: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, words: Sequence[str], more: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program; what it prints goes to NAME.log."""
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.log(name).open("ab") as log:
            found = subprocess.Popen(
                _leashed(words), env={**environment(home), **(more or {})}, stdout=log,
                stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._running[name] = found
        return found

    def log(self, name: str) -> Path:
        """Return the log file of a program."""
        return self.folder / f"{name}.log"

    def ended(self, name: str) -> int | None:
        """Return the exit status of a program that has ended, else None."""
        return self._running[name].poll()

    def check(self, name: str) -> None:
        """Raise if a program has ended.

        Raises:
            FleetError: with the end of its log.
        """
        status = self.ended(name)
        if status is not None:
            raise FleetError(f"{name} ended with status {status}: {last_words(self.log(name))}",
                             f"See {self.log(name)}.")  # fmt: skip

    def stop(self, names: Sequence[str] | None = None, grace_s: float = 10.0) -> None:
        """End programs, the last started first, kindly at first."""
        chosen = [n for n in reversed(self._running) if names is None or n in names]
        for name in chosen:
            if self._running[name].poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    self._running[name].send_signal(signal.SIGINT)
        end_s = time.monotonic() + grace_s
        for name in chosen:
            one = self._running.pop(name)
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.wait(max(0.1, end_s - time.monotonic()))
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(one.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.wait(5.0)


def last_words(log: Path, lines: int = 6) -> str:
    """Return the last lines of a log in one."""
    with contextlib.suppress(OSError):
        text = log.read_text(errors="replace").strip()
        return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip())
    return ""


def free_port() -> int:
    """Return a port of this host's loopback that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class SuperLink:
    """Run Flower's server; what takes orders listens where only this host reaches it."""

    NAME = "superlink"

    def __init__(
        self, programs: ChildPrograms, line: FlowerLine, door: tuple[str, int], tls: Tls | None
    ) -> None:
        """Take the releases' line, and the host and port that devices dial."""
        self._programs = programs
        self._line = line
        self._tls = tls
        self._ports = Ports(free_port(), free_port(), *door)
        self.run = ""

    @property
    def address(self) -> str:
        """Return where it listens."""
        return f"127.0.0.1:{self._ports.orders}"

    def start(self, timeout_s: float = 60.0) -> None:
        """Start it and wait until it answers.

        Raises:
            FleetError: if it does not.
        """
        words = [program("flower-superlink"), *self._line.superlink(self._ports, self._tls)]
        self._programs.start(self.NAME, words)
        self._write_config()
        end_s = time.monotonic() + timeout_s
        while not self._answers():
            self._programs.check(self.NAME)
            if time.monotonic() > end_s:
                raise FleetError(f"Flower's server did not answer within {timeout_s:g} s",
                                 f"See {self._programs.log(self.NAME)}.")  # fmt: skip
            time.sleep(0.1)

    def _answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._ports.orders), 1.0),
        ):
            return True
        return False

    def check(self) -> None:
        """Raise FleetError if it has ended."""
        self._programs.check(self.NAME)

    def submit(self, relay: Path) -> None:
        """Start the relay in it, which then connects to a socket."""
        answer = self._ask("run", str(APP), "fleet", "-c", f'socket="{relay}"')
        self.run = str(answer.get("run-id", ""))

    def register(self, public_key: Path) -> None:
        """Let in the node that has a key.

        Raises:
            FleetError: if Flower does not.
        """
        answer = self._ask("supernode", "register", str(public_key), "fleet")
        if not answer.get("success", True):
            raise FleetError(f"Flower does not register {public_key.name}: {answer}")

    def _write_config(self) -> None:
        home = self._programs.folder / "cli"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        safety = "insecure = true"
        if self._tls is not None:
            safety = f'root-certificates = "{self._tls.authority}"'
        text = f'[superlink]\ndefault = "fleet"\n\n[superlink.fleet]\naddress = "{self.address}"\n'
        (home / "config.toml").write_text(f"{text}{safety}\n")

    def _ask(self, *words: str) -> dict[str, Any]:
        done = subprocess.run(
            [program("flwr"), *words, "--format", "json"], capture_output=True, text=True,
            env=environment(self._programs.folder / "cli"), timeout=120, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
        except ValueError:
            said = (done.stdout + done.stderr).strip().splitlines()[-3:]
            raise FleetError(f"flwr {words[0]} failed: {' | '.join(said)}") from None
        if found.get("success") is False:
            raise FleetError(f"flwr {words[0]}: {found.get('error-message', found)}")
        return found
