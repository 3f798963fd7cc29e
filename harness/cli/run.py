"""Run the matrix of methods and seeds, and write results and report."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.ending import report_on, terminated_like_interrupted
from harness.cli.options import Parser, add_config_options, config_from, run_command
from harness.config import PATHS, RunConfig, check_values
from harness.core.clean_text import say
from harness.core.errors import (
    EXIT_BUDGET,
    EXIT_CELLS_FAILED,
    EXIT_DONE,
    EXIT_INTERRUPTED,
    ConfigChangedError,
    DamagedRunError,
    Problems,
    StorageError,
    UsageError,
    raise_all,
)
from harness.evidence.claims import PAIRS_FOR_A_TEST
from harness.evidence.reading import read_run
from harness.run_folder.resume import Start, read_manifest, unfinished, unreported
from harness.running.limits import Limits, parse_energy_j, parse_time_s
from harness.workloads.multitask.data.catalogue import is_cache
from models.execution import PLAIN

if TYPE_CHECKING:
    from harness.cli.screen import RunScreen
    from harness.running.target import Target
    from harness.workloads.multitask.planning.step_choice import StepChoice
    from models.multitask.network import Architecture

EPILOG = """A run that was stopped, by whatever, goes on where it was when the same command is typed
again. exit status: 0 done, 2 wrong usage, 3 device or meter missing, 5 some cells failed, 7 damaged
run folder, 8 stopped by --max-time or --max-energy, 9 files cannot be written, 130 interrupted.
Devices, methods, runs: python -m harness.list devices|methods|runs."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m harness.run",
        description="Train federated multi-task models here, measure what each method costs and"
        " compare them.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    add_config_options(parser)
    _add_own_options(parser)
    typed = sys.argv[1:] if words is None else words
    return run_command(parser, typed, lambda parsed: _run(*_settled(parsed), typed))


@dataclass(frozen=True)
class _RunOptions:
    """Hold the options that change no result: how to start, when to stop, what to leave out."""

    start: Start
    limits: Limits
    dry: bool
    report: bool
    calibrate: bool


def _add_own_options(parser: Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="show plan and estimate, then stop")
    parser.add_argument("--no-report", action="store_true", help="write results without the report")
    parser.add_argument(
        "--calibrate", action="store_true", help="measure anew which way of --step auto is fastest"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start a new run even if one could go on"
    )
    parser.add_argument(
        "--resume", metavar="RUN", help="go on with this run; its own options are taken"
    )
    parser.add_argument(
        "--max-time", metavar="TIME", help="stop at a round's end after 30m, 90s, 1h30m"
    )
    parser.add_argument(
        "--max-energy", metavar="ENERGY", help="stop at a round's end after 5kJ, 500J, 1.5Wh"
    )


def _settled(parsed: Namespace) -> tuple[RunConfig, _RunOptions, Target]:
    """Return what is to run, how, and on what.

    Raises:
        HarnessError: naming all problems at once: of options, device, meter and folder.
    """
    from harness.running.target import resolve_target  # noqa: PLC0415 - errors answer without it

    problems = Problems()
    config = problems.attempt(lambda: _config(parsed))
    options = problems.attempt(lambda: _run_options(parsed))
    # where something else is wrong too, device and meter are still looked at
    asked = config or replace(RunConfig(), **_typed(parsed, "device", "meter", "require_meter",
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


def _config(parsed: Namespace) -> RunConfig:
    """Return the configuration; with --resume that of the run, and the folder it lies in."""
    if parsed.resume is None:
        return config_from(parsed)
    if parsed.fresh:
        raise UsageError("--fresh and --resume contradict each other", "Leave out one of them.")
    path = _resumed(parsed)
    values = read_manifest(path).get("config")
    if not isinstance(values, dict):
        raise DamagedRunError(f"{path / 'manifest.json'}: holds no configuration", "Restore it.")
    own = check_values(values, str(path / "manifest.json"))
    places = {key: str(Path(str(own[key])).expanduser()) for key in PATHS if own.get(key)}
    _refuse_foreign(parsed, {**own, **places}, path)
    return config_from(parsed, {**own, **places, "out": str(path.absolute().parent)})


def _refuse_foreign(parsed: Namespace, own: Mapping[str, Any], path: Path) -> None:
    """Let a manifest name no address, file or folder that whoever types did not name.

    A meter with options may send what a file holds to an address; a cache is written to. A cache
    that holds data sets already is one of this program's.

    Raises:
        ConfigChangedError: naming what is to be typed.
    """
    meter, cache, data = (str(own.get(key) or "") for key in ("meter", "cache", "data"))
    missing = []
    if ":" in meter and not meter.startswith("simulated") and parsed.meter is None:
        missing.append(f"--meter {shlex.quote(meter)}")
    if cache and parsed.cache is None and not is_cache(Path(cache)):
        missing.append(f"--cache {shlex.quote(cache)}")
    if ("/" in data or ":" in data) and parsed.data is None:
        missing.append(f"--data {shlex.quote(data)}")
    if missing:
        raise ConfigChangedError(
            f"{path} names addresses or folders, and a run folder may be somebody else's",
            f"If they are yours, type them too: {' '.join(missing)}",
        )


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


def _run(config: RunConfig, options: _RunOptions, target: Target, words: Sequence[str]) -> int:
    from rich.console import Console  # noqa: PLC0415 - help and errors answer without it

    from harness.cli.screen import RunScreen  # noqa: PLC0415

    config = replace(config, accelerator=target.accelerator)
    if options.start == Start() and options.report and not options.dry:
        from harness.run_folder.identity import known_before_data  # noqa: PLC0415 - imports torch

        late = unreported(Path(config.out), known_before_data(config, target))
        if late is not None:
            return _late_report(late)
    screen = RunScreen(Console(highlight=False), config)
    screen.plan(target)
    screen.limits(options.limits, target)
    if options.start == Start():
        screen.goes_on(unfinished(Path(config.out), config.digest()))
    with terminated_like_interrupted():
        from harness.measurement.memory import memory_errors  # noqa: PLC0415
        from harness.run_folder import disk  # noqa: PLC0415 - imports torch
        from harness.running import session  # noqa: PLC0415 - imports torch
        from harness.workloads.multitask.planning import modelling  # noqa: PLC0415 - imports torch
        from models.multitask.registry import architecture  # noqa: PLC0415

        session.prepare_torch(target.threads, target.accelerator)
        network = architecture(config.model)
        with memory_errors():
            step, recorded = _step(config, target, network, options, screen)
            session.prepare_torch(step.threads)
            start = options.start if recorded else replace(options.start, step=step)
            taken = step.applied_to(config)
            expected = modelling.estimate(taken, target, network, step.execution)
            needed = disk.results_bytes(config, network, expected.time_s)
            screen.estimate(expected, needed)
            disk.check_space(Path(config.out), needed)
            if options.dry:
                return EXIT_DONE
            with screen:
                store = session.open_data(config, screen)
                summary = session.run(config, target, store, network, screen, start, options.limits)
        screen.conclude(summary)
        if summary.stopped:
            screen.stopped(summary, _same_command(words))
            return EXIT_BUDGET if summary.stopped == "budget" else EXIT_INTERRUPTED
        page = report_on(summary.path) if options.report and summary.done else None
        screen.goodbye(summary, page, _next_command(config, words))
    return EXIT_CELLS_FAILED if summary.failed else EXIT_DONE


def _late_report(path: Path) -> int:
    """Make the report of a run that ended before it was made; return the exit status of the run."""
    say(f"{path} is done, but has no report: it is made now. To train anew: --fresh")
    page = report_on(path)
    if page is not None:
        say(f"Report   {page}")
    failed = any(row["status"] == "failed" for row in read_run(path).cells)
    return EXIT_CELLS_FAILED if failed else EXIT_DONE


def _step(
    config: RunConfig,
    target: Target,
    network: Architecture,
    options: _RunOptions,
    screen: RunScreen,
) -> tuple[StepChoice, bool]:
    """Settle how steps are executed and say so; a dry run measures nothing for it.

    Returns the choice, and whether it is that of a run to go on with.
    """
    from harness.workloads.multitask.planning import step_choice  # noqa: PLC0415 - imports torch

    earlier = options.start.resume
    if options.start == Start():
        earlier = unfinished(Path(config.out), config.digest())
    step = step_choice.recorded_choice(read_manifest(earlier)) if earlier is not None else None
    recorded = step is not None
    if step is None and options.dry:
        step = step_choice.known_choice(config, target)
        if step is None:
            screen.step_unknown()
            return step_choice.StepChoice(PLAIN, target.threads, config.step), False
    if step is None:
        if options.calibrate or step_choice.known_choice(config, target) is None:
            screen.calibrating()
        step = step_choice.choose_step(config, target, network, anew=options.calibrate)
    screen.step(step)
    return step, recorded


def _same_command(words: Sequence[str]) -> str:
    """Return what to type to go on: the same again, but a run that was new goes on now."""
    return _command([word for word in words if word != "--fresh"])


def _command(words: Sequence[str]) -> str:
    if "MAKELEVEL" in os.environ:
        return f'make run ARGS="{shlex.join(words)}"' if words else "make run"
    return " ".join(["python -m harness.run", shlex.join(words)]).strip()


def _next_command(config: RunConfig, words: Sequence[str]) -> str:
    """Return what to type next: the same run for publication, with enough seeds, or a report."""
    kept = [word for word in words if word != "--quick"]
    if not config.quick and len(config.seeds) >= PAIRS_FOR_A_TEST:
        return f"python -m analysis.report RUN RUN … --out DIR, over runs in {config.out}"
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
