"""Write every table, figure and the page of one or more runs: `python -m harness.report RUN`."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.core.venues import VENUE_WIDTHS_IN
from harness.core.clean_text import say
from harness.core.command_frame import run_command
from harness.core.errors import EXIT_DONE
from harness.core.parser import Parser, add_include_options
from harness.evidence.reading import find_run

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
        HarnessError: as there.
    """
    from analysis.core import assembly  # noqa: PLC0415 - keeps pandas and matplotlib out of --help

    return assembly.write_report(run_dirs, out, venue, allow_damaged)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 2 for a wrong command, 7 for results it cannot read."""
    return run_command(_parser(), arguments, _report)


def _report(options: Namespace) -> int:
    folders = [find_run(text) for text in options.runs]
    paths = write_report(folders, options.out, options.venue, options.allow_damaged)
    say("\n".join(paths.lines()))
    for entry in paths.not_drawn:
        say(f"not drawn: {entry.title}: {entry.reason}", sys.stderr)
    return EXIT_DONE


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
