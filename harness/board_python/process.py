"""Start a board's own Python and speak with it in frames."""

from __future__ import annotations

import contextlib
import json
import os
import select
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from devices.accelerator import GPU
from harness.board_python.sources import PROGRAM, collected
from harness.core.errors import BoardPythonError, GpuLostError, MemoryExceededError
from harness.measurement.gpu_faults import gpu_lost, tells_of_gpu_fault
from harness.workloads.on_board import BoardClients

Arrays = Mapping[str, NDArray[Any]]

START = f"""\
import json, struct, sys
length = struct.unpack(">Q", sys.stdin.buffer.read(8))[0]
sources = json.loads(sys.stdin.buffer.read(length).decode())
names = {{"__name__": "{PROGRAM}"}}
exec(compile(sources.pop("{PROGRAM}"), "{PROGRAM}", "exec"), names)
names["main"](sources)
"""
"""What the board's Python is given on its command line."""

OPENING_S = 300.0
"""Importing PyTorch and starting CUDA takes a Jetson Nano a minute from its card."""

MOST_HEADER_BYTES = 64 * 2**20
MOST_ARRAY_BYTES = 2**34
LAST_LINES = 3
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "bad_alloc")


class BoardProcess:
    """Hold a running Python of the board. Use it as a context: leaving ends the process."""

    def __init__(self, program: str, clients: BoardClients, threads: int, accelerator: str) -> None:
        """Start it and wait until it can train.

        Raises:
            BoardPythonError: if it cannot be started, lacks PyTorch, or cannot use the accelerator.
        """
        self.program = program
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        try:
            self._process = subprocess.Popen(
                [program, "-u", "-c", START],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said,
                env=_surroundings(threads),
            )  # fmt: skip
        except OSError as error:
            self._said.close()
            raise BoardPythonError(f"--board-python {program}: {error.strerror}") from None
        try:
            self.facts = self._open(clients, threads, accelerator)
        except BaseException:
            self.close()
            raise

    def _open(self, clients: BoardClients, threads: int, accelerator: str) -> dict[str, Any]:
        modules = tuple(clients.modules)
        self._send(json.dumps(collected(modules)).encode())
        opening = {
            "entry": modules[0], "facts": clients.facts, "threads": threads,
            "accelerator": "cuda" if accelerator == GPU else accelerator,
        }  # fmt: skip
        self.write(opening)
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], OPENING_S)[0]:
            raise BoardPythonError(f"{self.program} said nothing for {OPENING_S:.0f} s")
        facts, _ = self.read()
        return {key: value for key, value in facts.items() if key != "arrays"}

    @property
    def pid(self) -> int:
        """Return its number."""
        return self._process.pid

    def write(self, header: Mapping[str, Any], arrays: Arrays | None = None) -> None:
        """Send a frame.

        Raises:
            BoardPythonError: if the process is gone.
        """
        whole = {name: np.asarray(array, order="C") for name, array in (arrays or {}).items()}
        listed = [[name, array.dtype.str, list(array.shape)] for name, array in whole.items()]
        self._send(json.dumps({**header, "arrays": listed}).encode())
        for array in whole.values():
            self._put(array.tobytes())
        self._flush()

    def read(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the next frame: a header and its arrays.

        Raises:
            BoardPythonError: if the process is gone, or says that it failed.
            MemoryExceededError: if what failed is an allocation.
            GpuLostError: if its GPU failed.
        """
        length = struct.unpack(">Q", self._take(8))[0]
        if length > MOST_HEADER_BYTES:
            raise BoardPythonError(f"{self.program} answers with something else than a frame")
        try:
            header: dict[str, Any] = json.loads(self._take(length))
        except ValueError:
            raise BoardPythonError(f"{self.program} answers with a frame that is no JSON") from None
        if "failed" in header:
            raise _failure(self.program, str(header["failed"]))
        return header, {name: self._array(kind, shape) for name, kind, shape in header["arrays"]}

    def _array(self, kind: str, shape: list[int]) -> NDArray[Any]:
        form = np.dtype(kind)
        size = int(np.prod(shape, dtype=np.int64)) * form.itemsize
        if form.hasobject or not 0 <= size <= MOST_ARRAY_BYTES:
            raise BoardPythonError(f"{self.program} answers with an array of {size} bytes")
        return np.frombuffer(bytearray(self._take(size)), form).reshape(shape)

    def _send(self, text: bytes) -> None:
        self._put(struct.pack(">Q", len(text)) + text)
        self._flush()

    def _put(self, data: bytes) -> None:
        assert self._process.stdin is not None
        with self._noticing():
            self._process.stdin.write(data)

    def _flush(self) -> None:
        assert self._process.stdin is not None
        with self._noticing():
            self._process.stdin.flush()

    def _take(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if len(data) < size:
            raise self._gone()
        return data

    @contextlib.contextmanager
    def _noticing(self) -> Any:  # noqa: ANN401 - a generator of nothing
        try:
            yield
        except BrokenPipeError:
            raise self._gone() from None

    def _gone(self) -> BoardPythonError | GpuLostError:
        """Return how it ended, in its own last words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        status = self._process.poll()
        ending = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
        self._said.seek(0)
        lines = self._said.read()[-4096:].decode("utf-8", "replace").strip().splitlines()
        said = " / ".join(line.strip() for line in lines[-LAST_LINES:])
        if tells_of_gpu_fault(said):
            return gpu_lost(next(line for line in lines if tells_of_gpu_fault(line)))
        return BoardPythonError(
            f"{self.program} ended with {ending}" + (f": {said}" if said else "")
        )

    def close(self) -> None:
        """End the process, at once if it does not end by itself."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._said.close()

    def __enter__(self) -> BoardProcess:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process; one that is to be interrupted is not waited for."""
        if kind is not None:
            self._process.kill()
        self.close()


def _surroundings(threads: int) -> dict[str, str]:
    """Return the environment without what points this Python to its own packages."""
    own = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSTARTUP")
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return {**kept, "OMP_NUM_THREADS": str(threads), "PYTHONNOUSERSITE": "0"}


def _failure(program: str, words: str) -> BoardPythonError | MemoryExceededError | GpuLostError:
    if any(sign in words.lower() for sign in OUT_OF_MEMORY) or words.startswith("MemoryError"):
        return MemoryExceededError(f"training does not fit: {program}: {words}")
    if tells_of_gpu_fault(words):
        return gpu_lost(words)
    return BoardPythonError(f"{program}: {words}")


def usable_program(text: str) -> str:
    """Return the path of a Python as typed.

    Raises:
        BoardPythonError: if there is no such program.
    """
    path = Path(text).expanduser()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise BoardPythonError(
            f"--board-python {text}: there is no such program",
            "Give the path of the Python that has the board's PyTorch: /usr/bin/python3.",
        )
    return str(path)
