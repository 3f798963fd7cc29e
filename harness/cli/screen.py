"""Show a run to people: what will happen, where it stands, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table

from analysis.core.verdict import cell_sentences
from devices.time_model import interval_of
from harness.cli.live import TimeLeft, left_words, power_words
from harness.cli.plan_words import (
    duration,
    energy_words,
    expectation_words,
    modelled_words,
    trainer_words,
)
from harness.core.wrapping import NARROWEST, WIDEST, wrapped
from harness.evidence.disturbed import disturbing
from harness.evidence.yardstick import of_workload
from harness.running.environment import system_words
from harness.running.matrix import running_order
from harness.running.target import describe_host
from harness.workloads.base import Concluding

if TYPE_CHECKING:
    from harness.config import RunConfig
    from harness.measurement.host_look import Trouble
    from harness.records.cells import Cell, CellReport, CellResult
    from harness.records.values import Progress
    from harness.running.limits import Limits
    from harness.running.session import RunSummary
    from harness.running.target import Target
    from harness.workloads.base import Expectation, Workload

Row = Mapping[str, object]


WIDE = 100
"""Columns from which on there is room for a bar beside the words."""


class RunScreen:
    """Print to a console; a bar is drawn only where the output is a terminal.

    A line per cell goes to any output, so a log reads like the screen.
    """

    def __init__(self, console: Console, config: RunConfig, workload: Workload) -> None:
        self._console = console
        self._workload = workload
        self._config = config
        self._bars = Bars(
            TextColumn("{task.description}"),
            *([BarColumn(10)] if console.width >= WIDE else []),
            TextColumn("{task.fields[state]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            auto_refresh=False,  # redrawn once a round: drawing costs energy too
        )
        self._bar: TaskID | None = None
        self._state = self._mark = ""
        self._left: TimeLeft | None = None

    def __enter__(self) -> RunScreen:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def plan(self, target: Target) -> None:
        """Print what will run, on what, and what can be measured."""
        config = self._config
        lines = [
            f"Device   {target.profile.title}",
            f"Host     {describe_host(target.host)}; {_count(target.threads, 'training thread')}",
            f"Trains   {trainer_words(target.accelerator)}",
        ]
        if not target.matches:
            lines += [
                "         This is not that device: training and losses are real, but time and"
                f" energy of {modelled_words(target)} are modelled"
                f" ({interval_of(target.modelled)}).",
            ]
        lines += [
            f"System   {system_words()}",
            f"Energy   {self.energy(target)}",
            *(f"{title:<8} {text}" for title, text in self._workload.plan_lines(config)),
            f"Methods  {', '.join(config.methods)}",
            f"Matrix   {_count(len(config.methods), 'method')} ×"
            f" {_count(len(config.seeds), 'seed')} ×"
            f" {_count(config.repeats, 'repeat')}",
        ]
        if config.quick:
            lines.append("Quick    a tiny run to see that everything works; not for publication")
        self._print("\n".join(self._wrapped(line, 9) for line in lines))

    def warn(self, troubles: Sequence[Trouble]) -> None:
        """Print what would spoil figures now, and what to do, a line each."""
        for trouble in troubles:
            self._filled(f"Warning  {trouble}")

    def energy(self, target: Target) -> str:
        """Return in words what energy figures there will be."""
        return energy_words(target)

    def say(self, title: str, text: str) -> None:
        """Print a line of the plan; without a word before it as a sentence."""
        if title:
            self._filled(f"{title:<8} {text}")
        else:
            self._print(self._wrapped(text, 0))

    def estimate(self, expected: Expectation) -> None:
        """Print the expected cost and where the expectation comes from."""
        shared = getattr(self._config, "share_jobs", False)
        for text in expectation_words(expected, shared=shared):
            self._filled(text)

    def limits(self, limits: Limits, target: Target) -> None:
        """Print what the run may take, if that is limited."""
        said = []
        if limits.time_s is not None:
            said.append(duration(limits.time_s))
        if limits.energy_j is not None:
            origin = f"measured by {target.meter}" if target.meter else "modelled: no meter here"
            said.append(f"{limits.energy_j:.0f} J ({origin})")
        if said:
            self._print(f"Limit    {' or '.join(said)}; it stops at a round's end")

    def goes_on(self, path: Path | None) -> None:
        """Print which run is unfinished, if one is."""
        if path is not None:
            self._print(f"Goes on  {path} is unfinished (--fresh starts anew instead)")

    def note(self, text: str) -> None:
        """Print a sentence in full width."""
        self._filled(f"Note     {text}")

    def making_data(self, done: int, total: int) -> None:
        """Show how far the data are."""
        if self._bar is None:
            if done >= total:
                return  # it was there already
            self._print("Making the data set; later runs will find it in the cache.")
            self._bar = self._bars.add_task("data", total=total, state="")
        self._bars.update(self._bar, completed=done, state=f"{done}/{total}", refresh=True)
        if done >= total:
            self._drop_bar()

    def run_started(self, path: Path, *, resumed: bool) -> None:
        """Show where results will be, and what is there already."""
        self._print(f"Results  {path}\n")
        if resumed:
            self._print("  going on after the last round that was finished")

    def cell_started(self, cell: Cell, number: int, total: int) -> None:
        """Show which cell begins."""
        steps = self._workload.progress_steps(self._config, cell.spec, cell.seed)
        self._left = self._left or TimeLeft(self._all_steps())
        self._left.cell(number)
        name = f"{number}/{total} {escape(cell.spec.text)} seed {cell.seed}"
        self._bar = self._bars.add_task(name, total=steps, state="")
        self._state = self._mark = ""

    def _all_steps(self) -> list[float]:
        steps = self._workload.progress_steps
        return [steps(self._config, cell.spec, cell.seed) for cell in running_order(self._config)]

    def round_done(self, progress: Progress) -> None:
        """Show how far the cell is."""
        if self._bar is not None:
            state = progress.job
            if progress.losses:
                loss = sum(progress.losses.get(task, 0.0) for task in progress.units)
                state += f" round {progress.rounds_done} loss {loss:.2f}"
            self._state = "  ".join(filter(None, (state, self._live(progress))))
            self._bars.update(
                self._bar, completed=progress.task_rounds_done, state=self._marked(), refresh=True
            )

    def disturbed(self, flags: Sequence[str]) -> None:
        """Mark the bar while the device is disturbed."""
        self._mark = ", ".join(disturbing("+".join(flags)))
        if self._bar is not None:
            self._bars.update(self._bar, state=self._marked(), refresh=True)

    def _marked(self) -> str:
        return f"[bold]! {self._mark}[/bold] {self._state}" if self._mark else self._state

    def _live(self, progress: Progress) -> str:
        """Return what is drawn now, what was taken so far, and how long all still takes."""
        left = None if self._left is None else self._left.seconds(progress.task_rounds_done)
        told = power_words(progress.power_w, progress.energy_j), left_words(left)
        return "  ".join(filter(None, told))

    def cell_done(self, result: CellResult, report: CellReport) -> None:
        """Print one line on a finished cell."""
        self._drop_bar()
        name = f"{result.cell.spec.text} seed {result.cell.seed}"
        if result.status == "interrupted":
            self._print(f"  {name}: interrupted")
            return
        if result.status != "done":
            self._print(f"  {name}: {result.status}: {result.reason}")
            return
        spoilt = ", ".join(disturbing("+".join(result.flags)))
        mark = f"; disturbed: {spoilt}" if spoilt else ""
        line = f"  {name}: {result.cost.time_s:.1f} s, {report.summary}{mark}"
        self._print(self._wrapped(line, 4))

    def conclude(self, summary: RunSummary) -> None:
        """Print the method table, the verdict in words and what spoilt any figure."""
        if summary.done:
            self._table(summary.done)
            if isinstance(self._workload, Concluding):
                self._print("\n".join(["", *self._workload.conclusion(summary.path)]))
        if summary.stopped:
            return
        judged = replace(of_workload(self._config.workload), reference=self._config.reference)
        lines = cell_sentences(summary.done, judged, quick=self._config.quick)
        sentences = [self._wrapped(line, 2) for line in [*lines, *_spoilt(summary)]]
        self._print("\n" + "\n".join(sentences))

    def stopped(self, summary: RunSummary, command: str) -> None:
        """Print why the run stopped and what to type to go on."""
        what = "Interrupted" if summary.stopped == "user" else f"Stopped: {summary.reason}"
        self._print(f"\n{what}.\nFinished rounds are kept in {summary.path}")
        self._print(f"To go on type the same again:\n  {command}")

    def goodbye(self, summary: RunSummary, page: Path | None, next_command: str) -> None:
        """Print where everything is and what to type next."""
        self._print(f"\nResults  {summary.path}")
        if page is not None:
            self._print(f"Report   {page}")
        self._print(f"Next     {next_command}")

    def _table(self, rows: Sequence[Row]) -> None:
        table = Table(box=None, pad_edge=False, header_style="bold")
        objective = ("objective_value", self._workload.objective.name.replace("_", "\n", 1), ".4f")
        known = COLUMNS if rows[0].get("total_loss") is not None else (*COLUMNS, objective)
        columns = [c for c in known if any(row.get(c[0]) is not None for row in rows)]
        for key, title, form in columns:
            shown = [cell_text(row.get(key), form) for row in rows]
            table.add_column(
                title, justify="right" if form else "left", overflow="fold",
                # a number is never broken over lines; a text is where the screen is too narrow
                min_width=max(map(len, shown)) if form else None,
            )  # fmt: skip
        for row in rows:
            table.add_row(*(cell_text(row.get(key), form) for key, _, form in columns))
        self._console.print()
        self._console.print(table)

    def _drop_bar(self) -> None:
        if self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None

    def _filled(self, text: str) -> None:
        """Print a line that begins with a word of the plan, wrapped under its text."""
        self._print(self._wrapped(text, 9))

    def _wrapped(self, text: str, later: int) -> str:
        """Return a text in lines of the screen, each after the first indented."""
        return wrapped(text, min(max(self._console.width, NARROWEST), WIDEST), later)

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


COLUMNS = (
    ("method", "method", ""),
    ("groups", "groups", ""),
    ("seed", "seed", "d"),
    ("time_s", "time\ns", ".1f"),
    ("time_model_s", "modelled\ntime s", ".0f"),
    ("energy_j", "energy\nJ", ".0f"),
    ("energy_model_j", "modelled\nenergy J", ".0f"),
    ("total_loss", "total\nloss", ".4f"),
    ("delta_mtl", "mean Δ\nper task %", "+.1f"),
)
"""Columns of the method table: name in cells.csv, title, format."""


def cell_text(value: object, form: str) -> str:
    """Return a value as the table shows it, an en dash where there is none."""
    if value is None:
        return "–"
    return format(value, form) if form else str(value)


def _spoilt(summary: RunSummary) -> list[str]:
    """Say why energy is missing where a meter was running."""
    reasons = {str(row["energy_reason"]) for row in summary.done if row.get("energy_meter")}
    return [f"Energy is missing in some cells: {reason}." for reason in sorted(reasons - {""})]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
