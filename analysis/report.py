"""Write every table, figure and the page of one or more runs: `python -m analysis.report RUN`."""

from __future__ import annotations

import argparse
import difflib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib import style

from analysis.errors import EXIT_OK, EXIT_USAGE, AnalysisError
from analysis.figures import affinity, breakdown, loss_curves, pareto, power
from analysis.figures.drawing import Drawing, file_stem
from analysis.loading import Run, load_runs
from analysis.method_tables import method_table, task_table
from analysis.page import PageFigure, PageTable, render_page
from analysis.style import (
    VENUE_WIDTHS_IN,
    figure_style,
    new_figure,
    save_figure,
    venue_width_in,
)
from analysis.tables import Table, latex_escape, to_csv, to_latex, to_markdown
from analysis.verdict import sentences

FIGURES = (pareto, loss_curves, breakdown, power, affinity)


@dataclass(frozen=True)
class ReportPaths:
    """Hold where the report lies.

    Attributes:
        folder: the report's own folder.
        page: the HTML page.
        tables: CSV, Markdown and LaTeX files.
        figures: PDF, PNG and CSV files.
    """

    folder: Path
    page: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]

    def all(self) -> list[Path]:
        """Return every file, the page first."""
        return [self.page, *self.tables, *self.figures]


def write_report(
    run_dirs: Sequence[Path], out: Path | None = None, venue: str = "ieee"
) -> ReportPaths:
    """Write the report of one or more runs; running it again writes the same bytes.

    Args:
        run_dirs: run folders.
        out: folder of the report; by default `report` inside the only run.
        venue: one of `analysis.style.VENUE_WIDTHS_IN`; sets the width of the figures.

    Raises:
        AnalysisError: if a run cannot be read, the venue is unknown, or several runs are given
            without `out`.
    """
    width_in = venue_width_in(venue)
    folder = _report_folder(run_dirs, out)
    runs = load_runs(run_dirs)
    tables = [method_table(runs), task_table(runs)]
    table_files = [_write_table(table, folder / "tables") for table in tables]
    figures = [
        (drawing, _write_figure(drawing, folder / "figures", venue, width_in))
        for drawing in all_drawings(runs)
    ]
    page = folder / "index.html"
    text = render_page(
        runs,
        [(run.run_id, sentences(run)) for run in runs],
        [
            _page_table(table, files, folder)
            for table, files in zip(tables, table_files, strict=True)
        ],
        [_page_figure(drawing, files, folder) for drawing, files in figures],
        _report_command(run_dirs, out, venue),
    )
    page.write_text(text, encoding="utf-8", newline="\n")
    return ReportPaths(
        folder,
        page,
        tuple(path for files in table_files for path in files),
        tuple(path for _, files in figures for path in files),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 2 for a wrong command, 7 for results it cannot read."""
    options = _parser().parse_args(arguments)
    try:
        folders = [find_run(Path(text)) for text in options.runs]
        paths = write_report(folders, options.out, options.venue)
    except AnalysisError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for path in paths.all():
        print(path)
    return EXIT_OK


def find_run(folder: Path) -> Path:
    """Return the folder if it exists; a bare run name is also looked up under `results`.

    Raises:
        AnalysisError: if there is no such folder, naming the nearest ones.
    """
    for candidate in (folder, Path("results") / folder):
        if candidate.is_dir():
            return candidate
    parent = folder.parent if folder.parent != Path() else Path("results")
    names = sorted(path.parent.name for path in parent.glob("*/manifest.json"))
    near = difflib.get_close_matches(folder.name, names, n=3, cutoff=0.4) or names[-3:]
    remedy = (
        f"Did you mean {' or '.join(str(parent / name) for name in near)}?"
        if near
        else "Run `python -m harness.run` first, or give the path of a run folder."
    )
    raise AnalysisError(f"{folder}: no such run folder.", remedy, EXIT_USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.report",
        description="Write tables (CSV, Markdown, LaTeX), figures (PDF, PNG) and one HTML page.",
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
    return parser


def _report_folder(run_dirs: Sequence[Path], out: Path | None) -> Path:
    if out is not None:
        return out
    if len(run_dirs) == 1:
        return Path(run_dirs[0]) / "report"
    raise AnalysisError(
        f"{len(run_dirs)} runs are given, and no folder for their common report.",
        "Add --out FOLDER.",
        EXIT_USAGE,
    )


def _report_command(run_dirs: Sequence[Path], out: Path | None, venue: str) -> str:
    parts = ["python", "-m", "analysis.report", *(str(folder) for folder in run_dirs)]
    parts += [] if out is None else ["--out", str(out)]
    parts += [] if venue == "ieee" else ["--venue", venue]
    return shlex.join(parts)


def all_drawings(runs: Sequence[Run]) -> list[Drawing]:
    """Return the figures of all runs; of several runs each file name carries the run."""
    return [
        drawing if len(runs) == 1 else _named_by_run(drawing, run)
        for run in runs
        for module in FIGURES
        for drawing in module.drawings(run)
    ]


def _named_by_run(drawing: Drawing, run: Run) -> Drawing:
    return replace(
        drawing,
        stem=f"{drawing.stem}_{file_stem(run.run_id)}",
        title=f"{drawing.title}, {run.run_id}",
    )


def _write_table(table: Table, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        f"{table.name}.csv": to_csv(table),
        f"{table.name}.md": to_markdown(table),
        f"{table.name}.tex": to_latex(table),
        f"{table.name}_caption.tex": latex_escape(table.caption) + "%\n",
    }
    for name, text in contents.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in contents]


def _write_figure(drawing: Drawing, folder: Path, venue: str, width_in: float) -> list[Path]:
    with style.context(["default", figure_style()]):
        figure = new_figure(venue, drawing.aspect, drawing.note)
        drawing.paint(figure, width_in)
        return save_figure(figure, folder / drawing.stem, drawing.drawn)


def _page_table(table: Table, files: Sequence[Path], folder: Path) -> PageTable:
    shown = [path for path in files if not path.name.endswith("_caption.tex")]
    return PageTable(table, [path.relative_to(folder).as_posix() for path in shown])


def _page_figure(drawing: Drawing, files: Sequence[Path], folder: Path) -> PageFigure:
    png = next(path for path in files if path.suffix == ".png")
    names = [path.relative_to(folder).as_posix() for path in files]
    return PageFigure(drawing.title, drawing.caption, png, names)


if __name__ == "__main__":
    raise SystemExit(main())
