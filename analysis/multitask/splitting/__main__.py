"""Make the map of when splitting pays: the missing runs, then its table and its figure."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from harness.core.clean_text import say
from harness.core.command_frame import run_command
from harness.core.errors import EXIT_CELLS_FAILED, EXIT_DONE
from harness.core.parser import Parser

STUDY = Path("results/study/runs")
OUT = Path("results/study")

EPILOG = """The points are in analysis/multitask/splitting/points.py. Stop it when you
like: the same command goes on. Several may run side by side. What was not run is shown
as such."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(_parser(), words, _run, "interrupted: the same command goes on")


def _parser() -> Parser:
    parser = Parser(
        prog="python -m analysis.multitask.splitting",
        description="Map where merge-and-split pays: train what is missing, then write table and"
        " figure.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--study", type=Path, default=STUDY, metavar="DIR", help=f"folder of the runs [{STUDY}]"
    )
    parser.add_argument(
        "--out", type=Path, default=OUT, metavar="DIR", help=f"folder of table and figure [{OUT}]"
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="PATTERN",
        help="only what has this in the names of point and part, as 'skew' or 'paper main'",
    )  # fmt: skip
    parser.add_argument("--no-runs", action="store_true", help="train nothing, read what is there")
    parser.add_argument(
        "--rows-alone", action="store_true", help="read no runs: write anew from runs.csv alone"
    )
    parser.add_argument(
        "--page",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.md",
        help="put the tables into a page, between its marks; may be given again",
    )
    return parser


def _run(options: Namespace) -> int:
    from analysis.multitask.splitting.runs import make_missing, runs  # noqa: PLC0415 - help needs none
    from analysis.multitask.splitting.writing import put_into, read_runs, write_map  # noqa: PLC0415

    failed = 0
    if not (options.rows_alone or options.no_runs):
        for status in make_missing(options.study, runs(only=options.only)):
            failed += status != EXIT_DONE
            read_runs(options.study, options.out)
    if not options.rows_alone:
        read_runs(options.study, options.out, warn=True)
    for path in write_map(options.out):
        say(str(path))
    for page in options.page:
        say(str(put_into(page, options.out)))
    return EXIT_CELLS_FAILED if failed else EXIT_DONE


if __name__ == "__main__":
    raise SystemExit(main())
