"""Pass phases from a measured program to the process that measures it, through an open file.

`harness.measure` opens the file for appending, lets the program inherit it, and names it in the
environment variable `HARNESS_MARKS`. A line is appended in one write, which the kernel never mixes
with another's, so any number of threads and processes may mark; nobody has to read meanwhile, so a
mark never waits, and after a crash the file still says what was reached. The times are
CLOCK_MONOTONIC, which is one clock for all processes of a host.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.core.errors import UsageError
from harness.core.schema import MOST_WHOLE, as_name
from harness.measurement.spans import Edge, Span

VARIABLE = "HARNESS_MARKS"
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_numbers = itertools.count(1)


@dataclass(frozen=True)
class MarkFile:
    """Append marks to an open file."""

    descriptor: int
    clock: Callable[[], float] = time.monotonic
    cpu_clock: Callable[[], float | None] = time.process_time

    def begin(self, name: str, fields: Mapping[str, Any] | None = None) -> str:
        """Mark the beginning of a phase; return the word to end it with."""
        word = f"{os.getpid()}-{next(_numbers)}"
        self._write({"begin": name, "id": word, **({"fields": dict(fields)} if fields else {})})
        return word

    def end(self, word: str, samples: float | None = None) -> None:
        """Mark the end of the phase that `begin` gave this word.

        Raises:
            UsageError: if `samples` is no number of samples, as what is left out nobody misses.
        """
        told = {} if samples is None else {"samples": _counted(samples)}
        self._write({"end": word, **told})

    def step(self, name: str, script: int) -> None:
        """Mark that a script goes on with this phase, which ends the one before; "" only ends it.

        `script` is the process of the script, as several may run at once.
        """
        self._write({"step": name, "script": script})

    def _write(self, values: Mapping[str, Any]) -> None:
        line = {**values, "t_s": self.clock(), "cpu_s": self.cpu_clock(), "pid": os.getpid()}
        with contextlib.suppress(OSError):  # a program must not fail because nobody measures
            os.write(self.descriptor, (json.dumps(line, default=str) + "\n").encode())


def _counted(samples: object) -> float:
    """Return a number of samples, of NumPy or PyTorch too."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = math.nan if isinstance(samples, str) else float(samples)  # type: ignore[arg-type]
        if 0.0 <= number <= MOST_WHOLE:
            return number
    raise UsageError(f"samples={samples!r}: is no number of samples", "Give 0 or more.")


@contextlib.contextmanager
def new_mark_file(path: Path) -> Iterator[MarkFile]:
    """Make a file for marks, open as long as the context is."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        yield MarkFile(descriptor)
    finally:
        os.close(descriptor)


def announce(descriptor: int, path: Path) -> str:
    """Return what `HARNESS_MARKS` must say so that a program finds the file."""
    status = os.fstat(descriptor)
    return f"{descriptor}:{status.st_dev}:{status.st_ino}:{path.absolute()}"


def inherited(environment: Mapping[str, str] = os.environ) -> MarkFile | None:
    """Return the file of the process that measures this one; None if none does.

    A program that was started without its parent's files (as `subprocess` does it) opens the file
    by its name. A descriptor that is another file by now is not touched.
    """
    parts = environment.get(VARIABLE, "").split(":", 3)
    if len(parts) < 4:
        return None
    with contextlib.suppress(ValueError, OSError):
        number, identity = int(parts[0]), (int(parts[1]), int(parts[2]))
        if _is(number, identity):
            return MarkFile(number)
        opened = os.open(parts[3], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        if _is(opened, identity):
            return MarkFile(opened)
        os.close(opened)
    return None


def _is(descriptor: int, identity: tuple[int, int]) -> bool:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == identity


def read_marks(
    lines: Iterable[str], end_s: float, cpu_s: Mapping[int, float] = MappingProxyType({})
) -> list[Span]:
    """Return the phases that a program marked; what it left open ends at `end_s`.

    Lines that are no marks, a torn last one for example, are left out.
    `cpu_s` holds processor seconds at that moment by process, as far as they are known.
    """
    opened: dict[str, dict[str, Any]] = {}
    found: list[Span] = []
    for line in lines:
        mark = _parsed(line)
        if not mark:
            continue
        if "step" in mark:
            track = f"script {mark.get('script')}"
            if (begun := opened.pop(track, None)) is not None:
                found.append(_span(begun, _edge(mark), None, cut=False))
            if mark["step"]:
                opened[track] = {**mark, "begin": mark["step"], "step": True}
        elif "begin" in mark:
            opened[str(mark.get("id"))] = mark
        elif (begun := opened.pop(str(mark.get("end")), None)) is not None:
            found.append(_span(begun, _edge(mark), mark.get("samples"), cut=False))
    left = [
        _span(begun, Edge(end_s, cpu_s.get(_process(begun))), None, cut="step" not in begun)
        for begun in opened.values()
    ]  # a script's last step ends with the script
    return sorted([*found, *left], key=lambda span: span.start.time_s)


def _parsed(line: str) -> dict[str, Any]:
    try:
        mark = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    right = isinstance(mark, dict) and _number(mark.get("t_s")) is not None
    return mark if right else {}


def _number(value: object) -> float | None:
    """Return a finite number; None for what a program may have written in its place."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _edge(mark: Mapping[str, Any]) -> Edge:
    return Edge(float(mark["t_s"]), _number(mark.get("cpu_s")))


def _process(mark: Mapping[str, Any]) -> int:
    found = mark.get("pid")
    return found if isinstance(found, int) else 0


def _samples(told: object) -> float | None:
    number = _number(told)
    return number if number is not None and 0.0 <= number <= MOST_WHOLE else None


def _span(begun: Mapping[str, Any], end: Edge, samples: object, *, cut: bool) -> Span:
    fields = begun.get("fields")
    start = _edge(begun)
    if end.time_s < start.time_s:
        end = Edge(start.time_s, None)
    return Span(
        sys.intern(as_name(str(begun["begin"]))),
        start,
        end,
        _process(begun),
        fields if isinstance(fields, dict) else _NOTHING,
        _samples(samples),
        cut,
    )
