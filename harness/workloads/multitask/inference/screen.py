"""Show inference to people: what will be measured, where it stands, what came of it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table

from harness.cli.live import TimeLeft, left_words, power_words
from harness.cli.plan_words import duration, energy_words
from harness.cli.screen import WIDE, cell_text
from harness.evidence.disturbed import disturbed_words, disturbing
from harness.running.target import describe_host
from harness.workloads.multitask.inference.settings import OFFLINE, SINGLE_STREAM

if TYPE_CHECKING:
    from harness.core.errors import HarnessError
    from harness.measurement.host_look import Trouble
    from harness.measurement.live import LivePower
    from harness.running.target import Target
    from harness.workloads.multitask.inference.session import InferenceSummary

Row = Mapping[str, Any]

MILLI = 1e3
MEGA = 1e-6

COLUMNS = (
    ("method", "method", ""),
    ("what", "with", ""),
    ("models", "models", "d"),
    ("p50_ms", "p50\nms", ".2f"),
    ("p90_ms", "p90\nms", ".2f"),
    ("best", "images\nper s", ".0f"),
    ("energy_mj", "mJ", ".1f"),
    ("energy_model_mj", "mod.\nmJ", ".1f"),
    ("memory_mb", "peak\nMB", ".0f"),
    ("model_mb", "files\nMB", ".1f"),
    ("loss", "loss", ".3f"),
)
"""Columns of the closing table: key, title, format."""


class InferenceScreen:
    """Print to a console; a bar is drawn only where the output is a terminal."""

    def __init__(self, console: Console, run: Path) -> None:
        self._console = console
        self._run = run
        self._bars = Bars(
            TextColumn("{task.description}"), *([BarColumn(10)] if console.width >= WIDE else []),
            console=console, transient=True, disable=not console.is_terminal, auto_refresh=False,
        )  # fmt: skip
        self._bar: TaskID | None = None
        self._spoilt: Sequence[str] = ()
        self._begun = 0
        self._windows = 0
        self._time_left: TimeLeft | None = None

    def __enter__(self) -> InferenceScreen:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, target: Target, cells: Sequence[Row]) -> None:
        """Print the device, the host, what measures energy, and whose models answer."""
        self._lines("Run", str(self._run))
        self._lines("Device", target.profile.title)
        self._lines("Host", describe_host(target.host))
        if not target.matches:
            self._lines(
                "",
                "This is not that device: latency, memory and measured energy are this host's;"
                f" time and energy of {target.profile.name} are modelled.",
            )
        self._lines("Energy", energy_words(target))
        methods = ", ".join(dict.fromkeys(str(row["method"]) for row in cells))
        seeds = ", ".join(dict.fromkeys(str(row["seed"]) for row in cells))
        self._lines("Models", f"{methods}; seed {seeds}")

    def warn(self, troubles: Sequence[Trouble]) -> None:
        """Print what would spoil figures now, and what to do, a line each."""
        for trouble in troubles:
            self._lines("Warning", str(trouble))

    def making_data(self, done: int, total: int) -> None:
        """Show how far the data are, where they must be made first."""
        if done == 0 and total:
            self._lines("Data", "making the data set; later commands will find it in the cache")

    def plan(self, windows: int, left: int, seconds: float, missing: Mapping[str, str]) -> None:
        """Print how much will be measured, and which providers are not there."""
        self._windows = left
        for name, reason in missing.items():
            self._lines("Missing", f"{name}: {reason}")
        if not left:
            self._lines(
                "Measure", f"nothing: all {windows} windows are there (--fresh begins anew)"
            )
            return
        there = f" of {windows}" if left < windows else ""
        self._lines("Measure", f"{left}{there} windows, {duration(seconds)} and more, beside"
                    " exports, tests and starting a process for each peak of memory")  # fmt: skip

    def preparing(self, cell: str) -> None:
        """Print whose models are exported and judged."""
        self._drop_bar()
        self._lines("Export", f"{cell}: graphs, and their answers beside those of torch")

    def placed(self, what: str, words: str) -> None:
        """Print which nodes of a graph a provider has, and which it has not."""
        self._drop_bar()
        self._lines("Nodes", f"{what}: {words}")

    def failed(self, what: str, error: HarnessError) -> None:
        """Print what cannot be measured, why, and what to do."""
        self._drop_bar()
        self._lines("Failed", f"{error.message}" if what in error.message
                    else f"{what}: {error.message}")  # fmt: skip
        if error.remedy:
            self._lines("", error.remedy)

    def measuring(self, number: int, total: int, what: str, live: LivePower | None = None) -> None:
        """Show which measurement begins, what is drawn now, and how long all of them take."""
        self._begun += 1
        self._time_left = self._time_left or TimeLeft([1.0] * max(self._windows, total))
        self._time_left.cell(self._begun)
        told = [
            f"! {', '.join(self._spoilt)}" if self._spoilt else "",
            f"{number}/{total} {escape(what)}",
            power_words(live.power_w, live.energy_j) if live else "",
            left_words(self._time_left.seconds(0.0)),
        ]
        text = "  ".join(filter(None, told))
        if self._bar is None:
            self._bar = self._bars.add_task(text, total=total)
        self._bars.update(self._bar, description=text, completed=number - 1, refresh=True)

    def measured(self, row: Row) -> None:
        """Mark the bar while windows are disturbed; a log gets a line."""
        self._spoilt = disturbing(row["flags"])
        if self._spoilt and not self._console.is_terminal:
            what = f"{row['cell']} {row['runtime']} {row['precision']} {row['scenario']}"
            self._lines("Mark", f"{what}: disturbed ({', '.join(self._spoilt)})")

    def conclude(self, summary: InferenceSummary) -> None:
        """Print the table of complete answers, and what failed."""
        self._drop_bar()
        lines = answers(summary.rows)
        if lines:
            self._table(lines)
            self._print("")
            for text in [*sentences(lines), *disturbed_sentences(summary.rows)]:
                self._print(textwrap.fill(text, self._width))
        reasons = dict.fromkeys(
            f"{r['cell']} {r['runtime']} {r['precision']} {r['provider']}".strip()
            + f": {r['reason']}"
            for r in summary.rows
            if r["status"] == "failed"
        )
        for reason in reasons:
            self._lines("Failed", reason)
        if summary.stopped:
            self._print("\nInterrupted. Finished windows are kept; the same command goes on.")

    def goodbye(self, page: Path | None) -> None:
        """Print where everything is."""
        self._print(f"\nFigures  {self._run / 'inference.csv'}")
        if page is not None:
            self._print(f"Report   {page}")

    def _table(self, lines: Sequence[Row]) -> None:
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
        shown = [c for c in COLUMNS if any(line.get(c[0]) is not None for line in lines)]
        for _, title, form in shown:
            table.add_column(title, justify="right" if form else "left", overflow="fold")
        for line in lines:
            table.add_row(*(cell_text(line.get(name), form) for name, _, form in shown))
        head = (
            "A complete answer to all tasks, one image after another; images per second are the"
            " best of all batch sizes, mJ are per answer:"
        )
        self._print("\n" + textwrap.fill(head, self._width) + "\n")
        self._console.print(table)

    @property
    def _width(self) -> int:
        return min(self._console.width, 100)

    def _lines(self, head: str, text: str) -> None:
        self._print(textwrap.fill(f"{head:<9}{text}", self._width, subsequent_indent=" " * 9,
                                  break_long_words=False, break_on_hyphens=False))  # fmt: skip

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _drop_bar(self) -> None:
        if self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None


def answers(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return one line per method and variant of the first seed: complete answers, most threads."""
    done = [r for r in rows if r["status"] == "done" and not r["job"]]
    streams = [r for r in done if r["scenario"] == SINGLE_STREAM]
    if not streams:
        return []
    seed = min(int(r["seed"]) for r in streams)
    most = max(int(r["threads"]) for r in streams)
    found = []
    for row in streams:
        if int(row["seed"]) != seed or int(row["threads"]) != most:
            continue
        same = [r for r in done if r["scenario"] == OFFLINE and all(
            r[k] == row[k] for k in ("cell", "runtime", "precision", "provider"))]  # fmt: skip
        found.append(_line(row, same))
    return sorted(found, key=lambda line: (line["order"], line["what"]))


def _line(row: Row, offline: Sequence[Row]) -> dict[str, Any]:
    runtime = "ORT" if row["runtime"] == "onnxruntime" else "torch"
    provider = "" if row["provider"] == "cpu" else f" {row['provider']}"
    return {
        "order": (str(row["method"]) != "independent", str(row["method"])),
        "method": row["method"], "what": f"{runtime} {row['precision']}{provider}",
        "models": row["models"],
        "p50_ms": _times(row["latency_p50_s"], MILLI),
        "p90_ms": _times(row["latency_p90_s"], MILLI),
        "best": max((float(r["throughput_images_per_s"]) for r in offline), default=None),
        "energy_mj": _times(row["energy_per_image_j"], MILLI),
        "energy_model_mj": _times(row["energy_model_per_image_j"], MILLI),
        "memory_mb": _times(row["peak_memory_bytes"], MEGA),
        "model_mb": _times(row["model_bytes"], MEGA),
        "loss": row["total_loss"],
    }  # fmt: skip


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def sentences(lines: Sequence[Row]) -> list[str]:
    """Return what the table says: methods against independent, the runtime against torch, int8."""
    found = []
    single = {line["method"]: line for line in lines if line["what"] == "ORT fp32"}
    reference = single.get("independent")
    for method, line in single.items():
        if reference is not None and method != "independent":
            ratio = line["p50_ms"] / reference["p50_ms"]
            found.append(
                f"{method} answers all tasks in {ratio:.2f}× the time of independent (ORT fp32),"
                f" at {_percent(line['loss'] / reference['loss'] - 1.0)} total loss."
            )
    found += _gains(lines, "torch fp32", "ORT fp32", "ONNX Runtime takes {} the time of torch")
    found += _gains(lines, "ORT fp32", "ORT int8", "int8 takes {} the time of fp32")
    if all(line["energy_mj"] is None for line in lines):
        modelled = any(line["energy_model_mj"] is not None for line in lines)
        found.append(
            "Energy is modelled from the device profile, not measured."
            if modelled
            else "No energy was measured, and the profile covers none of these answers."
        )
    return found


def disturbed_sentences(rows: Sequence[Row]) -> list[str]:
    """Say how many windows were disturbed, and that their ratios are not to be quoted."""
    words = disturbed_words([row for row in rows if row["status"] == "done"], "window")
    return [f"{words}: times and joules above may rest on them; measure anew on a quiet host"
            " (--fresh)."] if words else []  # fmt: skip


def _gains(lines: Sequence[Row], before: str, after: str, words: str) -> list[str]:
    times = {(line["method"], line["what"]): line["p50_ms"] for line in lines}
    ratios = [times[m, after] / t for (m, what), t in times.items()
              if what == before and (m, after) in times]  # fmt: skip
    if not ratios:
        return []
    low, high = min(ratios), max(ratios)
    span = f"{low:.2f}×" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f}× to {high:.2f}×"
    return [words.format(span) + "."]


def _percent(change: float) -> str:
    return f"{abs(100.0 * change):.1f} % {'higher' if change > 0 else 'lower'}"
