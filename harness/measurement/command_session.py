"""Measure commands: warm up, repeat, take turns, and keep what every run of them took."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from devices.card_watch import CardWatch
from devices.host_use import HostUse, UseWatch
from harness.core.errors import UsageError
from harness.measurement.command import CommandResult, Surroundings, run_command
from harness.measurement.conditions import Conditions
from harness.measurement.figures import PhaseCost
from harness.measurement.marks import VARIABLE, announce, new_mark_file, read_marks
from harness.measurement.measuring import MeasuringSession
from harness.measurement.meters import ComponentJoules, MeterSet
from harness.measurement.spans import Edge, Span, windows

COMMAND = "command"
"""Name of the phase that a whole command is."""


@dataclass(frozen=True)
class CommandPlan:
    """Hold what is measured and how often.

    Attributes:
        commands: command lines, taken in turn: the first, the second, …, the first again.
        repeats: measured runs of each.
        warmups: runs of each before, which are not measured.
        prepare: line for the shell to run before every run; empty for none.
        idle_s: seconds of rest before the first and after the last run, for the idle power.
        output: descriptor that the commands' standard output goes to; None passes this one's on.
    """

    commands: Sequence[Sequence[str]]
    repeats: int = 1
    warmups: int = 0
    prepare: str = ""
    idle_s: float = 0.0
    output: int | None = None


@dataclass(frozen=True)
class CommandRun:
    """Hold one measured run of one command."""

    command: int
    repeat: int
    result: CommandResult
    whole: Span
    cost: PhaseCost
    spans: Sequence[Span]
    peak_w: float | None
    components: Sequence[ComponentJoules]
    flags: Sequence[str]
    use: HostUse = field(default_factory=HostUse)

    @property
    def status(self) -> str:
        """Return done, failed or interrupted, as tables write it."""
        if self.result.interrupted is not None:
            return "interrupted"
        return "failed" if self.result.exit_status else "done"

    @property
    def reason(self) -> str:
        """Return why the run is not done."""
        ended = f"exit status {self.result.exit_status}" if self.result.exit_status else ""
        return self.result.reason or ended


@dataclass
class CommandSession:
    """Carry out a plan with meters that run.

    `report` is called after every measured run, with the run; `begins` before it, and
    `while_waiting` some ten times a second until it ends.
    """

    plan: CommandPlan
    measuring: MeasuringSession
    folder: Path
    report: Callable[[CommandRun], None] = lambda _: None
    begins: Callable[[], None] = lambda: None
    while_waiting: Callable[[], None] | None = None
    sleep: Callable[[float], None] = time.sleep
    runs: list[CommandRun] = field(default_factory=list)
    stopped: bool = False

    def carry_out(self) -> None:
        """Do all that is planned; a signal that ends a command ends the session too.

        Raises:
            UsageError: if the command of --prepare ends with another status than 0.
        """
        self.measuring.look("before", self.plan.idle_s, self.sleep)
        for _ in range(self.plan.warmups):
            for argv in self.plan.commands:
                self._prepare()
                if self._plain(argv).interrupted is not None:
                    self.stopped = True
                    return
        for repeat in range(self.plan.repeats):
            for number in range(len(self.plan.commands)):
                self._prepare()
                run = self._measured(number, repeat)
                self.runs.append(run)
                self.report(run)
                if run.result.interrupted is not None:
                    self.stopped = True
                    return
        self.measuring.look("after", self.plan.idle_s, self.sleep)

    @property
    def meters(self) -> MeterSet:
        """Return what measures."""
        return self.measuring.meters

    def _prepare(self) -> None:
        if not self.plan.prepare:
            return
        done = self._plain(["sh", "-c", self.plan.prepare])
        if done.interrupted is not None:
            raise KeyboardInterrupt
        if done.exit_status:
            raise UsageError(
                f"--prepare '{self.plan.prepare}' ended with status {done.exit_status}",
                "Run it by itself and mend it: without it another state would be measured.",
            )

    def _plain(self, argv: Sequence[str]) -> CommandResult:
        around = Surroundings(output=self.plan.output, not_its=self.meters.processes)
        return run_command(argv, around)

    def _measured(self, number: int, repeat: int) -> CommandRun:
        self.begins()
        conditions = Conditions(self.meters.processes, cards=CardWatch())
        path = self.folder / f"marks-{number}-{repeat}.jsonl"
        with new_mark_file(path) as marks:
            environment = {**os.environ, VARIABLE: announce(marks.descriptor, path)}
            inherits = (marks.descriptor,)
            watch = UseWatch()
            result = run_command(
                self.plan.commands[number],
                Surroundings(
                    environment,
                    inherits,
                    self.plan.output,
                    self.meters.processes,
                    self.while_waiting,
                ),
            )
        use = watch.at_end()
        self.meters.wait_past(result.end_s)
        flags = conditions.at_end().flags
        if result.left:
            flags = (*flags, "left-running")
        with path.open(encoding="utf-8", errors="replace") as lines:
            spans = read_marks(lines, result.end_s)
        run = self._costed(number, repeat, result, spans, flags)
        return replace(run, use=use) if result.started else run

    def _costed(
        self,
        number: int,
        repeat: int,
        result: CommandResult,
        spans: Sequence[Span],
        flags: Sequence[str],
    ) -> CommandRun:
        none = None if result.cpu_s is None else 0.0
        whole = Span(COMMAND, Edge(result.start_s, none), Edge(result.end_s, result.cpu_s))
        covered = windows([whole])
        cost = self.measuring.costing.phase(COMMAND, [whole])
        if not result.started:
            nothing = dict.fromkeys(("energy_j", "error_j", "model_j"))
            cost = PhaseCost(**{**vars(cost), **nothing, "reason": result.reason})
        return CommandRun(
            number, repeat, result, whole, cost, spans, self.meters.peak_w(covered),
            self.meters.components(covered) if result.started else (), flags,
        )  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """Hold the mean, and the spread over repeats, of one figure; None where a run lacks it."""

    mean: float | None
    deviation: float | None
    least: float | None
    most: float | None


def summary(values: Sequence[float | None]) -> Spread:
    """Return mean, sample standard deviation, least and most; all None if a value is missing."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return Spread(None, None, None, None)
    mean = math.fsum(known) / len(known)
    spread = None
    if len(known) > 1:
        spread = math.sqrt(math.fsum((v - mean) ** 2 for v in known) / (len(known) - 1))
    return Spread(mean, spread, min(known), max(known))
