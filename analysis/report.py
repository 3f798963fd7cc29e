"""Write every table, figure and the page of one or more runs: `python -m harness.report RUN`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.core.errors import EXIT_OK, EXIT_USAGE, AnalysisError
from analysis.core.venues import VENUE_WIDTHS_IN
from harness.core.clean_text import leave_pipe, prepare_terminal, say
from harness.core.errors import HarnessError, UsageError, impossible_path
from harness.core.parser import Parser, add_include_options, read_options, say_skipped
from harness.evidence import reading as evidence

if TYPE_CHECKING:
    from analysis.core.assembly import ReportPaths


def write_report(
    run_dirs: Sequence[Path],
    out: Path | None = None,
    venue: str = "ieee",
    allow_damaged: bool = False,
) -> ReportPaths:
    """Write the report of one or more runs; see `analysis.core.assembly.write_report`.

    Raises:
        AnalysisError: as there.
    """
    from analysis.core import assembly  # noqa: PLC0415 - keeps pandas and matplotlib out of --help

    return assembly.write_report(run_dirs, out, venue, allow_damaged)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 2 for a wrong command, 7 for results it cannot read."""
    prepare_terminal()
    try:
        options = read_options(_parser(), sys.argv[1:] if arguments is None else arguments)
        folders = [find_run(Path(text)) for text in options.runs]
        paths = write_report(folders, options.out, options.venue, options.allow_damaged)
        say("\n".join(paths.lines()))
        sys.stdout.flush()
    except AnalysisError as error:
        say(f"error: {error}", sys.stderr)
        return error.exit_code
    except HarnessError as error:
        say(f"error: {error.shown()}", sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        return leave_pipe()
    except OSError as error:
        impossible = impossible_path(error)
        if impossible is None:
            raise
        say(f"error: {impossible.shown()}", sys.stderr)
        return impossible.exit_status
    finally:
        say_skipped()
    for entry in paths.not_drawn:
        say(f"not drawn: {entry.title}: {entry.reason}", sys.stderr)
    return EXIT_OK


def find_run(folder: str | Path) -> Path:
    """Return the folder if it exists; a bare run name is also looked up under `results`.

    Raises:
        AnalysisError: if there is no such folder, naming the nearest ones.
    """
    try:
        return evidence.find_run(str(folder))
    except UsageError as error:
        raise AnalysisError(f"{error.message}.", error.remedy, EXIT_USAGE) from None


def _parser() -> Parser:
    parser = Parser(
        prog="python -m harness.report",
        description="Write tables (CSV, Markdown, LaTeX), LaTeX macros of every number, figures "
        "(PDF, PNG, CSV) and one HTML page.",
        epilog="Runs that differ in seeds, methods and repeats only are pooled; all others stand "
        "side by side.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="run folder, or its name in results/"
    )
    parser.add_argument("--out", type=Path, help="folder of the report (default: RUN/report)")
    parser.add_argument(
        "--venue",
        default="ieee",
        metavar="NAME",
        help=f"column width of the figures: {', '.join(VENUE_WIDTHS_IN)} (default: ieee)",
    )
    parser.add_argument(
        "--allow-damaged",
        action="store_true",
        help="report runs that contradict their own files, too; every caption says so",
    )
    add_include_options(parser)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
