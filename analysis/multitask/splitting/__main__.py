"""Make the map of when splitting pays: the missing runs, then its table and its figure."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from harness.core.clean_text import leave_pipe, prepare_terminal, say
from harness.core.errors import (
    EXIT_CELLS_FAILED,
    EXIT_DONE,
    EXIT_INTERRUPTED,
    HarnessError,
    StorageError,
    impossible_path,
)
from harness.core.parser import Parser, read_options

STUDY = Path("results/study/runs")
OUT = Path("results/study")

EPILOG = """The points are in analysis/multitask/splitting/points.py. Stop it when you
like: the same command goes on. Several may run side by side. What was not run is shown
as such."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    import sys  # noqa: PLC0415 - beside what it is used for

    prepare_terminal()
    try:
        return _run(read_options(_parser(), sys.argv[1:] if words is None else words))
    except BrokenPipeError:  # as in `| head -1`
        return leave_pipe()
    except KeyboardInterrupt:
        say("interrupted: the same command goes on", sys.stderr)
        return EXIT_INTERRUPTED
    except (HarnessError, OSError) as trouble:
        error = trouble if isinstance(trouble, HarnessError) else _of_files(trouble)
        say(f"error: {error.shown()}", sys.stderr)
        return error.exit_status


def _of_files(trouble: OSError) -> HarnessError:
    """Return the error for a file or folder that cannot be written."""
    place = trouble.filename or "a file"
    return impossible_path(trouble) or StorageError(
        f"{place} cannot be written: {trouble.strerror}"
    )


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
