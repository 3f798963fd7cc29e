"""Measure blocks of code: one session holds the meters, the clock and the phases of a program."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from harness.core.errors import MissingPackageError, UsageError
from harness.measurement.marks import MarkFile, inherited, new_mark_file, read_marks
from harness.measurement.spans import Edge, Span

if TYPE_CHECKING:
    import pandas as pd

    from harness.measurement.figures import PhaseCost
    from harness.measurement.idle import IdlePower
    from harness.measurement.measuring import MeasuringSession

Function = TypeVar("Function", bound=Callable[..., Any])

WHOLE = "total"
"""Name of the figure of the whole session."""


WRITER = "harness.running.measurement_files"
"""What writes a run folder stands above this package: it is named, and imported when asked for."""


class Phase(AbstractContextManager["Phase"]):
    """Mark a phase as long as the context is open; `samples` may be set or changed inside."""

    def __init__(
        self,
        begin: Callable[[], Any],
        end: Callable[[Any, float | None], None],
        samples: float | None,
    ) -> None:
        self._begin = begin
        self._end = end
        self._word: Any = None
        self.samples = samples

    def __enter__(self) -> Phase:
        wait_for_gpu()
        self._word = self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        wait_for_gpu()
        self._end(self._word, self.samples)


class _NoPhase(Phase):
    """Do nothing, at no cost, where nobody measures."""

    def __init__(self) -> None:
        self.samples = None

    def __enter__(self) -> Phase:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Measurement:
    """Measure this process's host as long as the context is open.

    Phases may nest and run in several threads or tasks at once; each covers all that lies in it,
    and joules are those of the whole host within its time. Figures are there once the session is
    over: `total`, `phases` by name, and `frame()`.

    Args:
        meter: `auto`, `none`, or meters as on the command line; several are joined by +.
        out: Folder of results, in which a run folder is made; None writes no files.
        witnesses: Meters that are recorded beside, and not added.
        rate_hz: Readings per second; None takes the most that each meter can give.
        label: What this is a measurement of.
        require_meter: Refuse to go on without measured joules.
        idle_s: Seconds of rest before and after, for joules above idle; with them each phase has
            `net_j`, and the session `idle`.
        root: Root of the file system in which sensors are looked for.

    Raises:
        HarnessError: On entering, for an unknown meter, one that cannot be used, meters that must
            not be added up, or a folder that cannot be written.
    """

    def __init__(  # noqa: PLR0913 - a session's options, each given by its name
        self,
        meter: str = "auto",
        out: str | Path | None = None,
        *,
        witnesses: Sequence[str] = (),
        rate_hz: float | None = None,
        label: str = "python",
        require_meter: bool = False,
        idle_s: float = 0.0,
        root: Path = Path("/"),
    ) -> None:
        self._settings = _Settings(
            meter, None if out is None else Path(out), tuple(witnesses), rate_hz, label,
            require_meter, idle_s, root,
        )  # fmt: skip
        self.process = os.getpid()
        self._open = ExitStack()
        self._lock = threading.Lock()
        self._marks: MarkFile | None = None
        self.idle: IdlePower | None = None
        self._state: _State | None = None
        self._result: _Result | None = None

    def __enter__(self) -> Measurement:
        if self._state is not None:
            raise UsageError("this measurement was already started", "Make a new Measurement.")
        with ExitStack() as opened:
            self._state = self._settings.start(opened)
            self._marks = self._state.marks
            self._open = opened.pop_all()
        _active.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._state is not None  # as the context is open
        if self._result is not None:
            return  # it was ended before
        wait_for_gpu()
        end = _edge()
        with contextlib.suppress(ValueError):
            _active.remove(self)
        with self._open:
            self._settle(end, failed=error)

    def phase(self, name: str, samples: float | None = None, **fields: object) -> Phase:
        """Mark a phase as long as the returned context is open.

        Args:
            name: Name of the phase; entries of the same name add up.
            samples: How many samples it works on, for joules per sample.
            **fields: What else is to stand in phases.csv: `round`, `client`, `job`.
        """
        return Phase(lambda: self._begin(name, fields), self._finish, samples)

    @property
    def total(self) -> PhaseCost:
        """Return the cost of the whole session."""
        return self._over().total

    @property
    def phases(self) -> Mapping[str, PhaseCost]:
        """Return the cost of every phase by its name."""
        return self._over().phases

    @property
    def path(self) -> Path | None:
        """Return the run folder; None without one."""
        return self._state.path if self._state else None

    def frame(self) -> pd.DataFrame:
        """Return the phases as a frame, one row each, columns with units in their names.

        Raises:
            MissingPackageError: if pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - boards need not have it
        except ModuleNotFoundError as error:
            raise MissingPackageError(
                "the package pandas is not installed", 'pip install "mas-edge-harness[analysis]"'
            ) from error
        return pd.DataFrame([cost.as_dict() for cost in self.phases.values()])

    def _begin(self, name: str, fields: Mapping[str, Any]) -> str:
        with self._lock:  # the file must not be closed meanwhile
            return "" if self._marks is None else self._marks.begin(name, fields)

    def _finish(self, word: str, samples: float | None) -> None:
        with self._lock:
            if self._marks is not None:
                self._marks.end(word, samples)

    def _settle(self, end: Edge, failed: BaseException | None) -> None:
        """Take the figures while the meters still run, then write the files."""
        state = self._state
        assert state is not None
        with self._lock:
            self._marks = None
        process = os.getpid()
        with state.marks_path.open(encoding="utf-8") as lines:
            spans = read_marks(lines, end.time_s, {process: end.cpu_s or 0.0})
        state.session.meters.wait_past(end.time_s)
        if failed is None:
            state.session.look("after", self._settings.idle_s)
        self.idle = state.session.idle
        cost = state.session.costing
        whole = Span(WHOLE, state.start, end, os.getpid())
        self._result = _Result(cost.phase(WHOLE, [whole]), cost.phases(spans))
        if state.writer is not None:
            state.writer.finish(whole, spans, state.session.meters, cost, failed)

    def _over(self) -> _Result:
        if self._result is None:
            raise UsageError(
                "figures are there once the measurement is over", "Ask after the with block."
            )
        return self._result


@dataclass(frozen=True)
class _Result:
    total: PhaseCost
    phases: Mapping[str, PhaseCost]


@dataclass(frozen=True)
class _State:
    """Hold what is open while a session goes on."""

    session: MeasuringSession
    start: Edge
    marks: MarkFile
    marks_path: Path
    writer: Any = None
    path: Path | None = None


@dataclass(frozen=True)
class _Settings:
    """Hold how a session measures."""

    meter: str
    out: Path | None
    witnesses: tuple[str, ...]
    rate_hz: float | None
    label: str
    require_meter: bool
    idle_s: float
    root: Path

    def start(self, opened: ExitStack) -> _State:
        """Choose and start the meters and make the run folder; `opened` closes them."""
        from tempfile import TemporaryDirectory  # noqa: PLC0415

        from harness.measurement.choice import choose_meters  # noqa: PLC0415 - import is light
        from harness.measurement.meters import launched_meters  # noqa: PLC0415

        chosen = choose_meters(
            self.meter, self.witnesses, require=self.require_meter, root=self.root
        )
        writer: Any = None
        if self.out is not None:
            writer = import_module(WRITER).SessionFiles.create(self.out, chosen, self.label)
            opened.enter_context(writer)
        folder = (
            Path(opened.enter_context(TemporaryDirectory(prefix="samples-")))
            if writer is None
            else writer.samples
        )
        ready = opened.enter_context(
            launched_meters(
                chosen.totals, chosen.witnesses, folder, rate_hz=self.rate_hz,
                reason=chosen.reason, root=self.root,
            )
        )  # fmt: skip
        if writer is not None:
            writer.look_around()  # while the meters' processes come up
        session = chosen.session(ready())
        folder.mkdir(exist_ok=True)
        marks_path = folder / "marks.jsonl"
        marks = opened.enter_context(new_mark_file(marks_path))
        path = None if writer is None else writer.path
        session.look("before", self.idle_s)
        start = _edge()
        if writer is not None:
            writer.begin(session.meters, start.time_s)
            writer.watch()
            start = _edge()
        return _State(session, start, marks, marks_path, writer, path)


_active: list[Measurement] = []
"""Sessions that are open in this process, the innermost last."""

_NOBODY = _NoPhase()


@functools.lru_cache(maxsize=1)
def _parent() -> MarkFile | None:
    return inherited()


def is_measured() -> bool:
    """Say whether a phase would land in a measurement: an open one, or that of the parent."""
    return bool(_active and _active[-1].process == os.getpid()) or _parent() is not None


def phase(name: str, samples: float | None = None, **fields: object) -> Phase:
    """Mark a phase of whatever measures this program.

    That is the innermost open `Measurement` of this process (not of one it was forked from), else
    the `harness.measure` that started the program. Where nobody measures it does nothing.
    """
    if _active and _active[-1].process == os.getpid():
        return _active[-1].phase(name, samples, **fields)
    marks = _parent()
    if marks is None:
        return _NOBODY
    return Phase(lambda: marks.begin(name, fields), marks.end, samples)


@overload
def measured(name: Function) -> Function: ...
@overload
def measured(name: str | None = None, **fields: object) -> Callable[[Function], Function]: ...
def measured(name: Any = None, **fields: object) -> Any:
    """Make every call of a function a phase, named like the function unless a name is given.

    Functions with `async def` are awaited inside the phase.
    """
    if callable(name):
        return _wrapped(name, name.__name__, {})
    return lambda function: _wrapped(function, name or function.__name__, fields)


def _wrapped(function: Function, name: str, fields: Mapping[str, Any]) -> Function:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: object, **kwargs: object) -> object:
            with phase(name, **fields):
                return await function(*args, **kwargs)

        return cast(Function, awaited)

    @functools.wraps(function)
    def called(*args: object, **kwargs: object) -> object:
        with phase(name, **fields):
            return function(*args, **kwargs)

    return cast(Function, called)


def wait_for_gpu() -> None:
    """Let the GPU finish what was asked of it, if this program has begun to use one with torch.

    One that has failed is the program's own trouble: it meets the same error at its next call, and
    what was measured until then is still written.
    """
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is not None and cuda.is_initialized():
        with contextlib.suppress(RuntimeError):
            cuda.synchronize()


def _edge() -> Edge:
    return Edge(time.monotonic(), time.process_time())
