"""Run the matrix of methods and seeds, and write results and report."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.config import RunConfig
from harness.errors import (
    EXIT_CELLS_FAILED,
    EXIT_DONE,
    EXIT_INTERRUPTED,
    HarnessError,
)
from harness.options import Parser, add_config_options, config_from, read_options

SEEDS_FOR_A_CLAIM = 6
"""With fewer pairs no sign-flip test can reach p < 0.05 (2/2⁶ = 0.031)."""

EPILOG = """exit status: 0 done, 2 wrong usage, 3 device or meter missing, 5 some cells failed,
130 interrupted. Devices and methods: python -m harness.list devices|methods."""


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
    parser.add_argument("--dry-run", action="store_true", help="show plan and estimate, then stop")
    parser.add_argument("--no-report", action="store_true", help="write results without the report")
    try:
        words = sys.argv[1:] if words is None else words
        parsed = read_options(parser, words)
        return _run(config_from(parsed), words, dry=parsed.dry_run, report=not parsed.no_report)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _run(config: RunConfig, words: Sequence[str], *, dry: bool, report: bool) -> int:
    from rich.console import Console  # noqa: PLC0415 - help and errors answer without it

    from harness.screen import RunScreen  # noqa: PLC0415
    from harness.target import resolve_target  # noqa: PLC0415

    target = resolve_target(config)
    _check_writable(Path(config.out))
    screen = RunScreen(Console(highlight=False), config)
    screen.plan(target)
    with _terminated_like_interrupted():
        from harness import modelling, session  # noqa: PLC0415 - imports torch
        from harness.memory import memory_errors  # noqa: PLC0415
        from models.registry import architecture  # noqa: PLC0415

        session.prepare_torch(target.threads)
        network = architecture(config.model)
        with memory_errors():
            screen.estimate(modelling.estimate(config, target, network))
            if dry:
                return EXIT_DONE
            with screen:
                store = session.open_data(config, screen)
                summary = session.run(config, target, store, network, screen)
        screen.conclude(summary)
        if summary.interrupted:
            return EXIT_INTERRUPTED
        page = _report(summary.path) if report and summary.done else None
        screen.goodbye(summary, page, _next_command(config, words))
    return EXIT_CELLS_FAILED if summary.failed else EXIT_DONE


def _next_command(config: RunConfig, words: Sequence[str]) -> str:
    """Return what to type next: the same run for publication, with enough seeds, or a report."""
    kept = [word for word in words if word != "--quick"]
    if not config.quick and len(config.seeds) >= SEEDS_FOR_A_CLAIM:
        return f"python -m analysis.report RUN RUN … --out DIR, over runs in {config.out}"
    if not config.quick:
        if "--seeds" in kept:
            at = kept.index("--seeds")
            del kept[at : at + 2]
        kept += ["--seeds", f"0-{SEEDS_FOR_A_CLAIM - 1}"]
    if "MAKELEVEL" in os.environ:
        return f'make run ARGS="{shlex.join(kept)}"' if kept else "make run"
    return " ".join(["python -m harness.run", shlex.join(kept)]).strip()


def _check_writable(out: Path) -> None:
    """Refuse a folder that cannot be written before anything is trained.

    Raises:
        StorageError: naming the folder and what to do.
    """
    from harness.results import storage_errors  # noqa: PLC0415

    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".write-test-{os.getpid()}"
        try:
            probe.write_bytes(b"x")
        finally:
            probe.unlink(missing_ok=True)


def _report(path: Path) -> Path | None:
    """Write the report; where that fails the run is still whole, so say how to make it later."""
    try:
        from analysis.errors import AnalysisError  # noqa: PLC0415
        from analysis.report import write_report  # noqa: PLC0415
    except ModuleNotFoundError as error:
        why = f"{error.name} is not installed"
    else:
        try:
            return write_report([path], None).page
        except (AnalysisError, OSError) as error:
            why = str(error)
        except KeyboardInterrupt:
            why = "interrupted"
    print(f"\nNo report: {why}. To make it later:\n  python -m analysis.report {path}")
    return None


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does: with all files readable."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
