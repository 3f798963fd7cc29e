"""Run the matrix of methods and seeds, and write results and report."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.ending import list_on_page, report_on, terminated_like_interrupted
from harness.cli.options import add_config_options, asked_workload, config_from, group_of
from harness.config import EXPERT, HOW_LONG, OUTPUT, PATHS, WHAT, RunConfig, check_values
from harness.core.clean_text import say
from harness.core.command_frame import report, run_command
from harness.core.errors import (
    EXIT_BUDGET,
    EXIT_CELLS_FAILED,
    EXIT_DONE,
    EXIT_INTERRUPTED,
    DamagedRunError,
    HarnessError,
    Problems,
    StorageError,
    UsageError,
    raise_all,
)
from harness.core.launching import module_of, typed_name
from harness.core.parser import Parser, add_include_options
from harness.core.shell_words import own_path, typed_words
from harness.evidence.claims import PAIRS_FOR_A_TEST
from harness.evidence.foreign import refuse_foreign
from harness.evidence.reading import read_run, refuse_a_bundle
from harness.run_folder.resume import (
    Start,
    read_manifest,
    refuse_busy,
    resumable,
    unfinished,
    unreported,
)
from harness.running.limits import Limits, parse_energy_j, parse_time_s
from harness.workloads.base import Settling
from harness.workloads.registry import DEFAULT, find_workload

if TYPE_CHECKING:
    from harness.running.target import Target

STEP = "step"
"""Option of workloads that choose how their steps are executed."""

EPILOG = """A run that was stopped, by whatever, goes on where it was when the same command is typed
again. exit status: 0 done, 2 wrong usage, 3 device or meter missing, 5 some cells failed, 7 damaged
run folder, 8 stopped by --max-time or --max-energy, 9 files cannot be written, 130 interrupted.
Devices, methods, runs: python -m harness.list devices|methods|runs."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    typed = sys.argv[1:] if words is None else words
    try:
        workload = asked_workload(typed)
    except HarnessError as error:
        return report(error)
    parser = Parser(
        prog="python -m harness.run",
        usage="%(prog)s [options]",
        description="Train here, measure what each method costs and compare them. These are the"
        f" options of the workload {workload.name}: {workload.title}.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    kind = workload.config_class()
    add_config_options(parser, kind)
    add_include_options(parser)
    _add_own_options(parser, kind)
    return run_command(parser, typed, lambda parsed: _run(*_settled(parsed, kind), typed))


@dataclass(frozen=True)
class _RunOptions:
    """Hold the options that change no result: how to start, when to stop, what to leave out."""

    start: Start
    limits: Limits
    dry: bool
    report: bool
    calibrate: bool


def _add_own_options(parser: Parser, kind: type[RunConfig]) -> None:
    what, long, output = (
        group_of(parser, title).add_argument for title in (WHAT, HOW_LONG, OUTPUT)
    )
    what("--dry-run", action="store_true", help="show plan and estimate, then stop")
    what("--fresh", action="store_true", help="start a new run even if one could go on")
    what("--resume", metavar="RUN", help="go on with this run; its own options are taken")
    long("--max-time", metavar="TIME", help="stop at a round's end after 30m, 90s, 1h30m")
    long("--max-energy", metavar="ENERGY", help="stop at a round's end after 5kJ, 500J, 1.5Wh")
    output("--no-report", action="store_true", help="write results without the report")
    if any(field.name == STEP for field in fields(kind)):
        group_of(parser, EXPERT).add_argument(
            "--calibrate", action="store_true",
            help="measure anew which way of --step auto is fastest",
        )  # fmt: skip
    else:
        parser.set_defaults(calibrate=False)


def _settled(parsed: Namespace, kind: type[RunConfig]) -> tuple[RunConfig, _RunOptions, Target]:
    """Return what is to run, how, and on what.

    Raises:
        HarnessError: naming all problems at once: of options, device, meter and folder.
    """
    from harness.running.target import resolve_target  # noqa: PLC0415 - errors answer without it

    problems = Problems()
    config = problems.attempt(lambda: _config(parsed, kind))
    options = problems.attempt(lambda: _run_options(parsed))
    # where something else is wrong too, device and meter are still looked at
    asked = config or replace(kind(), **_typed(parsed, "device", "meter", "require_meter",
                                                    "require_device"))  # fmt: skip
    target = problems.attempt(lambda: resolve_target(asked))
    if options is not None and parsed.out != "":
        problems.attempt(
            lambda: _check_writable(Path(asked.out), only_look=options.dry or bool(problems.found))
        )
    raise_all(problems.found)
    assert config is not None  # as there was no problem
    assert options is not None
    assert target is not None
    return config, options, target


def _typed(parsed: Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(parsed, name) for name in names if getattr(parsed, name) is not None}


def _config(parsed: Namespace, kind: type[RunConfig]) -> RunConfig:
    """Return the configuration; with --resume that of the run, and the folder it lies in."""
    if parsed.resume is None:
        return config_from(parsed, kind)
    if parsed.fresh:
        raise UsageError("--fresh and --resume contradict each other", "Leave out one of them.")
    path = _resumed(parsed)
    refuse_a_bundle(path)
    values = read_manifest(path).get("config")
    if not isinstance(values, dict):
        raise DamagedRunError(f"{path / 'manifest.json'}: holds no configuration", "Restore it.")
    own = check_values(values, str(path / "manifest.json"), kind)
    places = {key: own_path(own[key]) for key in PATHS if own.get(key)}
    workload = find_workload(str(own.get("workload", DEFAULT)))
    typed = {name: getattr(parsed, name, None) for name in own}
    refuse_foreign(path, {**own, **places}, typed, workload.owns_cache, asdict(kind()))
    return config_from(parsed, kind, {**own, **places, "out": str(path.absolute().parent)})


def _resumed(parsed: Namespace) -> Path:
    """Return the run folder meant: a path, or a name in the folder of results."""
    path = Path(parsed.resume)
    return path if path.is_dir() else Path(parsed.out or "results") / path


def _run_options(parsed: Namespace) -> _RunOptions:
    problems = Problems()
    limits = Limits(
        problems.attempt(lambda: parse_time_s(parsed.max_time))
        if parsed.max_time is not None
        else None,
        problems.attempt(lambda: parse_energy_j(parsed.max_energy))
        if parsed.max_energy is not None
        else None,
    )
    raise_all(problems.found)
    resume = None if parsed.resume is None else _resumed(parsed)
    return _RunOptions(
        Start(parsed.fresh, resume), limits, parsed.dry_run, not parsed.no_report, parsed.calibrate
    )


def _run(config: RunConfig, options: _RunOptions, target: Target, argv: Sequence[str]) -> int:
    from rich.console import Console  # noqa: PLC0415 - help and errors answer without it

    from devices.card_watch import look_at_cards  # noqa: PLC0415
    from harness.cli.screen import RunScreen  # noqa: PLC0415
    from harness.measurement.host_look import HostLook  # noqa: PLC0415
    from harness.running.target import settled  # noqa: PLC0415

    config = settled(config, target)
    late = _looked_at_first(config, options, target)
    if late is not None:
        return _late_report(late)
    trains = target.accelerator
    look = HostLook(cards=lambda: look_at_cards(trains.uuid) if trains.is_gpu else [])
    workload = find_workload(config.workload)
    screen = RunScreen(Console(highlight=False), config, workload)
    screen.plan(target)
    screen.warn(look.troubles())
    screen.limits(options.limits, target)
    if options.start == Start():
        screen.goes_on(unfinished(Path(config.out), config.digest()))
    with terminated_like_interrupted():
        from harness.core.disk import check_space  # noqa: PLC0415
        from harness.measurement.gpu_faults import gpu_errors  # noqa: PLC0415
        from harness.measurement.memory import memory_errors  # noqa: PLC0415
        from harness.run_folder.left import done_so_far  # noqa: PLC0415
        from harness.running import session  # noqa: PLC0415

        path = _earlier(config, options)
        settling = Settling(
            options.dry, options.calibrate, {} if path is None else done_so_far(path)
        )
        earlier = {} if path is None else read_manifest(path)
        with memory_errors(), gpu_errors():
            draft = workload.draft(config, target, earlier, settling, screen)
            expected = draft.expected()
            screen.estimate(expected)
            check_space(Path(config.out), expected.results_bytes)
            if options.dry:
                return EXIT_DONE
            with screen:
                opened = draft.open(screen)
                summary = session.run(config, target, opened, screen, options.start, options.limits)
        screen.conclude(summary)
        if summary.stopped:
            screen.stopped(summary, _same_command(argv))
            return EXIT_BUDGET if summary.stopped == "budget" else EXIT_INTERRUPTED
        page = report_on(summary.path) if options.report and summary.done else None
        list_on_page(Path(config.out))
        screen.goodbye(summary, page, _next_command(config, _told(argv, options.start, earlier)))
    return EXIT_CELLS_FAILED if summary.failed else EXIT_DONE


def _looked_at_first(config: RunConfig, options: _RunOptions, target: Target) -> Path | None:
    """Return the run that lacks but its report, before anything is timed; None if none does.

    Raises:
        BusyError: if a run is going on, which timing steps would disturb.
        ConfigChangedError: if the run that is to be gone on with cannot be.
    """
    from harness.running.identity import known_before_data  # noqa: PLC0415

    out, who = Path(config.out), known_before_data(config, target)
    if options.start.resume is not None:
        resumable(options.start.resume, who, config.as_dict())
    if options.dry:
        return None
    refuse_busy(out)
    return unreported(out, who) if options.start == Start() and options.report else None


def _late_report(path: Path) -> int:
    """Make the report of a run that ended before it was made; return the exit status of the run."""
    say(f"{path} is done, but has no report: it is made now. To train anew: --fresh")
    page = report_on(path)
    if page is not None:
        say(f"Report   {page}")
    failed = any(row["status"] == "failed" for row in read_run(path).cells)
    return EXIT_CELLS_FAILED if failed else EXIT_DONE


def _earlier(config: RunConfig, options: _RunOptions) -> Path | None:
    """Return the run to go on with; None if there is none."""
    if options.start == Start():
        return unfinished(Path(config.out), config.digest())
    return options.start.resume


def _same_command(argv: Sequence[str]) -> str:
    """Return what to type to go on: the same again, but a run that was new goes on now."""
    return _command([word for word in argv if word != "--fresh"])


def _command(argv: Sequence[str]) -> str:
    if "MAKELEVEL" in os.environ:
        return f'make run ARGS="{shlex.join(argv)}"' if argv else "make run"
    return f"{typed_name('run')} {shlex.join(argv)}".strip()


def _told(argv: Sequence[str], start: Start, earlier: Mapping[str, Any]) -> Sequence[str]:
    """Return the options of a run: those that were typed when it began, if it was gone on with."""
    if start.resume is None:
        return argv
    return typed_words(str(earlier.get("command") or ""), module_of("run")) or argv


def _next_command(config: RunConfig, argv: Sequence[str]) -> str:
    """Return what to type next: the same run for publication, with enough seeds, or a report."""
    kept = [word for word in argv if word != "--quick"]
    if config.quick and len(kept) == len(argv):
        return f"without quick = true in the file: {_command(kept)}"
    if not config.quick and len(config.seeds) >= PAIRS_FOR_A_TEST:
        return f"{typed_name('report')} RUN RUN … --out DIR, over runs in {config.out}"
    if not config.quick:
        if "--seeds" in kept:
            at = kept.index("--seeds")
            del kept[at : at + 2]
        kept = [word for word in kept if not word.startswith("--seeds=")]
        kept += ["--seeds", f"0-{PAIRS_FOR_A_TEST - 1}"]
    return _command(kept)


def _check_writable(out: Path, *, only_look: bool) -> None:
    """Refuse a folder that cannot be written before anything is trained, by trying or by a look.

    Raises:
        StorageError: naming the folder and what to do.
    """
    from harness.run_folder.results import storage_errors  # noqa: PLC0415

    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise StorageError(f"{there} is a file", "Choose another folder with --out DIR.")
    if only_look:
        if not os.access(there, os.W_OK):
            raise StorageError(f"{there} cannot be written to", "Choose another with --out DIR.")
        return
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".write-test-{os.getpid()}"
        try:
            probe.write_bytes(b"x")
        finally:
            probe.unlink(missing_ok=True)
