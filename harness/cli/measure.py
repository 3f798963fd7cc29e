"""Measure what any command costs: seconds, joules, memory."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import time
from argparse import SUPPRESS, Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from harness.core.command_frame import run_command
from harness.core.errors import (
    EXIT_INTERRUPTED,
    Problems,
    StorageError,
    UsageError,
    raise_all,
)
from harness.core.parser import Parser, add_include_options
from harness.core.schema import as_name
from harness.core.shell_words import shell_line, written
from harness.measurement.cooling import MOST_S

if TYPE_CHECKING:
    from harness.cli.measure_live import MeasureLine
    from harness.measurement.choice import ChosenMeters
    from harness.measurement.command_session import CommandPlan, CommandSession
    from harness.running.measurement_files import SessionFiles

RATE_HZ = 10.0
MOST_RATE_HZ = 1e5
MOST_RUNS = 100_000
"""More than anyone waits for, and few enough that a clock and a list can count to them."""

EPILOG = """Everything after -- is the command, as typed; it is not given to a shell. Its standard
input, output and exit status pass through; this report goes to standard error. With --json - its
standard output goes to standard error too, so that standard output is one JSON object. A program
can mark its phases: harness.measurement.phase in Python, python -m harness.mark in a shell script.
exit status: that of the command (of the last run that failed, if there are several), 127 if it was
not found, 128 + n if signal n killed it; before it starts 2 for wrong usage, 3 for a missing
meter or another device, 9 for files that cannot be written."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m harness.measure",
        usage="python -m harness.measure [options] -- COMMAND ...",
        description="Measure what a command costs: time, joules, processor seconds, memory.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--repeat", metavar="N", default="1", help="measured runs [1]")
    add("--warmup", metavar="N", default="0", help="runs before, which are not measured [0]")
    add("--prepare", metavar="CMD", default="", help="shell command before every run")
    add("--idle", metavar="SECONDS", default="0", help="rest before and after, for net joules [0]")
    add("--meter", metavar="NAME", default="auto", help="auto, none, or names joined by + [auto]")
    add("--device", metavar="NAME", default="auto", help="what this host is, as NAME or NAME:gpu"
        " [auto]")  # fmt: skip
    add("--accelerator", metavar="KIND", default="auto", help="auto, cpu or gpu: what the command"
        " works on, for joules that are modelled; auto is cpu")  # fmt: skip
    add("--witness", metavar="NAME", action="append", default=[], help="record this meter beside")
    add("--rate", metavar="HZ", default=f"{RATE_HZ:g}", help="readings per second [10]")
    add("--label", metavar="TEXT", default="", help="what this is; by default the command")
    add("--out", metavar="DIR", default="results", help="folder of results [results]")
    add("--no-results", action="store_true", help="write no run folder")
    add("--json", metavar="FILE", default="", help="write one JSON object; - is standard output")
    add("--csv", metavar="FILE", default="", help="write a table of the runs")
    add("--vs", metavar="'OTHER'", action="append", default=[], help="command to take turns with")
    add("--require-meter", action="store_true", help="refuse to go on without measured joules")
    add("--root", metavar="DIR", default="/", help=SUPPRESS)
    add_include_options(parser)
    typed = list(sys.argv[1:] if words is None else words)
    own, command = _divided(typed)
    return run_command(parser, own, lambda parsed: _measure(parsed, command))


def _divided(words: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Return the options before --, and the command after it; None if there is no --."""
    if "--" not in words:
        return list(words), None
    at = words.index("--")
    return list(words[:at]), list(words[at + 1 :])


@dataclass(frozen=True)
class _Wanted:
    """Hold what the options ask for beside the plan."""

    label: str
    rate_hz: float
    out: Path | None
    json: str
    csv: str


def _measure(parsed: Namespace, command: list[str] | None) -> int:
    from harness.measurement.choice import choose_meters  # noqa: PLC0415 - --help is light
    from harness.measurement.measured_host import HostAsked  # noqa: PLC0415

    problems = Problems()
    plan = problems.attempt(lambda: _plan(parsed, command))
    wanted = problems.attempt(lambda: _wanted(parsed, command or []))
    chosen = problems.attempt(
        lambda: choose_meters(
            parsed.meter,
            parsed.witness,
            require=parsed.require_meter,
            root=Path(parsed.root),
            which=HostAsked(parsed.device, parsed.accelerator),
        )
    )
    if parsed.json and parsed.json == parsed.csv:
        text = f"--json and --csv both write to {parsed.json}"
        problems.found.append(UsageError(text, "Name a place of its own for each."))
    for path in (parsed.json, parsed.csv):
        if path not in ("", "-"):
            problems.attempt(partial(_check_file, Path(path)))
    raise_all(problems.found)
    assert plan is not None  # as there was no problem
    assert wanted is not None
    assert chosen is not None
    return _carry_out(plan, wanted, chosen, Path(parsed.root))


def _plan(parsed: Namespace, command: list[str] | None) -> CommandPlan:
    from harness.measurement.command_session import CommandPlan  # noqa: PLC0415

    problems = Problems()
    if not command or not command[0]:
        problems.found.append(
            UsageError(
                "the command is missing: it must stand after --",
                "Write it as in  python -m harness.measure --repeat 5 -- sleep 1",
            )
        )  # fmt: skip
    repeats = problems.attempt(lambda: _count("--repeat", parsed.repeat, 1))
    warmups = problems.attempt(lambda: _count("--warmup", parsed.warmup, 0))
    idle_s = problems.attempt(lambda: _number("--idle", parsed.idle, MOST_S))
    others = [problems.attempt(partial(_command_line, text)) or [] for text in parsed.vs]
    raise_all(problems.found)
    output = sys.stderr.fileno() if parsed.json == "-" else None
    return CommandPlan(
        [command or [], *others], repeats or 1, warmups or 0, parsed.prepare, idle_s or 0.0, output
    )


def _wanted(parsed: Namespace, command: Sequence[str]) -> _Wanted:
    rate_hz = _number("--rate", parsed.rate, MOST_RATE_HZ)
    if rate_hz <= 0.0:
        raise UsageError(f"--rate {parsed.rate}: a rate must be above 0")
    return _Wanted(
        written(parsed.label) or shell_line(command),
        rate_hz,
        None if parsed.no_results else Path(parsed.out),
        parsed.json,
        parsed.csv,
    )


def _count(option: str, text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= MOST_RUNS:
        remedy = f"Give a whole number from {least} to {MOST_RUNS}."
        raise UsageError(f"{option}: cannot read '{text}'", remedy)
    return value


def _number(option: str, text: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= most:
        raise UsageError(f"{option}: cannot read '{text}'", f"Give a number from 0 to {most:g}.")
    return value


def _command_line(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--vs '{text}': {error}", "Quote it as for a shell.") from None
    if not words or not words[0]:
        raise UsageError("--vs: the command is empty", "Write it as in --vs 'sleep 2'.")
    return words


def _check_file(path: Path) -> None:
    """Do nothing if a file can be written.

    Raises:
        StorageError: if not.
    """
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise StorageError(f"{path} cannot be written", "Choose a file in a folder of your own.")


def _carry_out(plan: CommandPlan, wanted: _Wanted, chosen: ChosenMeters, root: Path) -> int:
    from harness.measurement.meters import launched_meters  # noqa: PLC0415

    with ExitStack() as opened:
        files = None if wanted.out is None else _files(plan, wanted, chosen, opened)
        folder = (
            Path(opened.enter_context(TemporaryDirectory(prefix="measure-")))
            if files is None
            else files.samples
        )
        folder.mkdir(exist_ok=True)
        ready = opened.enter_context(
            launched_meters(
                chosen.totals, chosen.witnesses, folder, rate_hz=wanted.rate_hz,
                reason=chosen.reason, root=root,
            )
        )  # fmt: skip
        # while the processes of the meters come up
        from harness.cli import measure_report  # noqa: F401, PLC0415 - what comes after the command
        from harness.measurement.command_session import CommandSession  # noqa: PLC0415

        if files is not None:
            files.look_around()
        session = CommandSession(plan, chosen.session(ready()), folder)
        line = _line(plan, session)
        if files is not None:
            files.begin(session.meters, time.monotonic())
            session.report = partial(_keep, files, session)
        try:
            session.carry_out()
        except KeyboardInterrupt:
            session.stopped = True
        line.clear()
        return _conclude(session, wanted, files, chosen)


def _line(plan: CommandPlan, session: CommandSession) -> MeasureLine:
    """Show where the session stands, on a terminal."""
    from harness.cli.measure_live import MeasureLine  # noqa: PLC0415

    output = sys.stderr if plan.output is not None else sys.stdout
    line = MeasureLine(
        sys.stderr,
        plan.repeats * len(plan.commands),
        session.meters.now,
        during=not output.isatty(),
    )
    if sys.stderr.isatty():
        session.begins, session.while_waiting = line.begin, line.waiting
    return line


def _files(
    plan: CommandPlan, wanted: _Wanted, chosen: ChosenMeters, opened: ExitStack
) -> SessionFiles:
    from harness.running.measurement_files import SessionFiles  # noqa: PLC0415

    settings: dict[str, Any] = {
        "commands": [shell_line(argv) for argv in plan.commands],
        "methods": _methods(plan),
        "seeds": [0],
        "repeats": plan.repeats,
        "warmups": plan.warmups,
        "prepare": plan.prepare,
        "idle_s": plan.idle_s,
        "rate_hz": wanted.rate_hz,
    }
    assert wanted.out is not None  # as files are wanted
    files = SessionFiles.create(wanted.out, chosen, wanted.label, settings, "harness.measure")
    return opened.enter_context(files)


def _methods(plan: CommandPlan) -> list[str]:
    """Return a name for each command; of one that takes turns with itself they are numbered."""
    lines = [shell_line(argv) for argv in plan.commands]
    before = [lines[:place].count(line) for place, line in enumerate(lines)]
    return [as_name(f"{x} ({n + 1})" if n else x) for x, n in zip(lines, before, strict=True)]


def _keep(files: SessionFiles, session: CommandSession, run: Any) -> None:  # noqa: ANN401
    from harness.cli.measure_report import measures  # noqa: PLC0415
    from harness.running.measurement_files import MeasuredCell, slug  # noqa: PLC0415

    name = _methods(session.plan)[run.command]
    number = f"{run.command}-" if len(session.plan.commands) > 1 else ""
    files.cell(
        MeasuredCell(
            slug(name, run.repeat, number), name, run.repeat, run.whole, run.cost, run.spans,
            run.status, run.reason, run.flags, run.result.memory.memory_bytes, measures(run),
            run.use,
        ),
        session.meters,
        session.measuring.costing,
    )  # fmt: skip


def _conclude(
    session: CommandSession, wanted: _Wanted, files: SessionFiles | None, chosen: ChosenMeters
) -> int:
    from harness.cli import measure_report as report  # noqa: PLC0415

    failed = [run.result.exit_status for run in session.runs if run.result.exit_status]
    if files is not None:
        files.idle(session.measuring.idle)
        if session.stopped:
            files.end("interrupted", "stopped by the user")
        else:
            files.end("failed" if failed else "done", session.runs[-1].reason if failed else "")
    path = None if files is None else files.path
    document = report.document(session, wanted.label, path, chosen)
    print(report.text(document), file=sys.stderr)
    _write(wanted.csv, report.table(session))
    _write(wanted.json, json.dumps(document, indent=2, allow_nan=False) + "\n")
    if session.stopped and not (len(session.runs) == 1 == session.plan.repeats):
        return EXIT_INTERRUPTED
    return failed[-1] if failed else 0


def _write(where: str, text: str) -> None:
    """Write a text to a file, to standard output for -, or not at all for an empty name.

    Raises:
        StorageError: if it cannot be written; what was measured has been shown by then.
    """
    from harness.run_folder.results import storage_errors  # noqa: PLC0415

    if where == "-":
        sys.stdout.write(text)
    elif where:
        with storage_errors(Path(where)):
            Path(where).write_text(written(text), encoding="utf-8")
