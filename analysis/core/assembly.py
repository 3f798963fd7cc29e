"""Put a report together: read, pool, tabulate, draw, and write every file and the page."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.core.damage import captioned, contradictions, damage_words, refuse
from analysis.core.disturbed import marked
from analysis.core.exhibits import Exhibits, Legendary, Series, find_exhibits
from analysis.core.figures import devices
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome, file_stem
from analysis.core.figures.writing import write_figures
from analysis.core.loading import Run, load_runs
from analysis.core.page import Page, PageFigure, PageTable, render_page
from analysis.core.paper import paper_tex
from analysis.core.pooling import pool
from analysis.core.tables.formats import (
    caption_macro,
    to_caption,
    to_csv,
    to_latex,
    to_markdown,
)
from analysis.core.tables.macros import to_macros
from analysis.core.tables.table import Table
from analysis.core.venues import venue_width_in
from analysis.core.verdict import sentences
from harness.core.errors import DamagedRunError, UsageError
from harness.core.guarded_folder import folder_below, write_below
from harness.core.shell_words import written
from harness.evidence.comparable import apart_words

MOST_SERIES = 4
"""Of more series than this only the first ones have figures of their own; tables show all."""


@dataclass(frozen=True)
class ReportPaths:
    """Hold where the report lies.

    Attributes:
        folder: the report's own folder.
        page: the HTML page.
        tables: CSV, Markdown and LaTeX files, the macros last.
        figures: PDF, PNG and CSV files.
        not_drawn: figures that are not made, with the reason.
    """

    folder: Path
    page: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]
    not_drawn: tuple[NotDrawn, ...] = ()

    def lines(self) -> list[str]:
        """Return where to look, in three lines, the page first."""
        tables, figures = self.folder / "tables", self.folder / "figures"
        return [
            f"Page     {self.page}",
            f"Tables   {tables}: {len(self.tables)} files, for LaTeX, Markdown and a spreadsheet",
            f"Figures  {figures}: {len(self.figures)} files, each as PDF, PNG and its numbers",
        ]

    def all(self) -> list[Path]:
        """Return every file, the page first."""
        return [self.page, *self.tables, *self.figures]


def write_report(
    run_dirs: Sequence[Path],
    out: Path | None = None,
    venue: str = "ieee",
    allow_damaged: bool = False,
) -> ReportPaths:
    """Write the report of one or more runs; running it again writes the same bytes.

    Runs that differ in seeds, methods and repeats only are pooled (`analysis.core.pooling`).

    Args:
        run_dirs: run folders.
        out: folder of the report; by default `report` inside the only run.
        venue: one of `analysis.core.venues.VENUE_WIDTHS_IN`; sets the width of the figures.
        allow_damaged: report runs whose files contradict each other; every caption says so.

    Raises:
        DamagedRunError: if a run cannot be read or contradicts itself.
        UsageError: if the venue is unknown, or several runs are given without `out`.
    """
    venue_width_in(venue)  # an unknown venue ends here, before any work
    loaded = load_runs(run_dirs)
    damage = contradictions([Path(run_dir) for run_dir in run_dirs])
    if not allow_damaged:
        refuse(damage)
    folder = _report_folder(run_dirs, out)
    words = damage_words(damage)
    runs = pool(loaded)
    tables = [captioned(marked(table, runs), words) for table in all_tables(runs)]
    table_files = [_write_table(table, folder) for table in tables]
    macros = _write(folder, "tables/macros.tex", to_macros(tables))
    outcomes = all_drawings(runs)
    drawings = [captioned(o, words) for o in outcomes if isinstance(o, Drawing)]
    not_drawn = [outcome for outcome in outcomes if isinstance(outcome, NotDrawn)]
    figures_folder = folder_below(folder, "figures")
    figure_files = write_figures(drawings, figures_folder, venue)
    figures = list(zip(drawings, figure_files, strict=True))
    captions = [to_caption(table) for table in tables]
    captions += [caption_macro(drawing.stem, drawing.caption) for drawing in drawings]
    macro_files = (macros, _write(folder, "tables/captions.tex", "".join(captions)))
    paper = _write(folder, "paper.tex", paper_tex(tables, drawings))
    page = Page(
        runs=runs,
        verdicts=[(run.run_id, [*_verdict(run), *filter(None, [words])]) for run in runs],
        tables=[_page_table(t, f, folder) for t, f in zip(tables, table_files, strict=True)],
        figures=[_page_figure(drawing, files, folder) for drawing, files in figures],
        not_drawn=[f"{entry.title}: {entry.reason}." for entry in not_drawn],
        apart=apart_words([(run.run_id, run.manifest.raw) for run in runs]),
        command=_report_command(run_dirs, out, venue, allow_damaged),
        macros=macros.relative_to(folder).as_posix(),
        legend=_legend(runs),
    )
    _write(folder, "index.html", render_page(page))
    return ReportPaths(
        folder,
        folder / "index.html",
        (*(path for files in table_files for path in files), *macro_files, paper),
        tuple(path for _, files in figures for path in files),
        tuple(not_drawn),
    )


def _legend(runs: Sequence[Run]) -> list[str]:
    """Return what names of a workload stand for, if it says so."""
    exhibits = exhibits_of(runs)
    return list(exhibits.legend(runs)) if isinstance(exhibits, Legendary) else []


def all_tables(runs: Sequence[Run]) -> list[Table]:
    """Return every table that has a value."""
    return [table for table in exhibits_of(runs).tables(runs) if table is not None and table.rows]


def all_drawings(runs: Sequence[Run]) -> list[Outcome]:
    """Return the figures of all series; of several series each file name carries its own."""
    figures = exhibits_of(runs).figures
    found: list[Outcome] = []
    for run in runs[:MOST_SERIES]:
        for module in figures:
            own = [_marked(outcome, [run]) for outcome in _drawn_by(module, run)]
            found += own if len(runs) == 1 else [_named_by_run(outcome, run) for outcome in own]
    if len(runs) > MOST_SERIES:
        names = ", ".join(run.run_id for run in runs[MOST_SERIES:])
        reason = f"only the first {MOST_SERIES} series are drawn; report these alone: {names}"
        found.append(NotDrawn("Figures of further series", reason))
    return found + [_marked(outcome, runs) for outcome in devices.drawings(runs)]


def _marked(outcome: Outcome, runs: Sequence[Run]) -> Outcome:
    return marked(outcome, runs) if isinstance(outcome, Drawing) else outcome


def exhibits_of(runs: Sequence[Run]) -> Exhibits:
    """Return what the runs show.

    Raises:
        UsageError: if they are of several workloads, whose figures cannot stand side by side.
    """
    names = list(dict.fromkeys(run.manifest.workload for run in runs))
    if len(names) > 1:
        raise UsageError(
            f"The runs are of several workloads: {', '.join(names)}",
            "Report those of one workload at a time.",
        )
    return find_exhibits(*names)


def _drawn_by(module: Series, run: Run) -> list[Outcome]:
    """Return a module's figures; a damaged file of one cell costs that figure, not the report."""
    try:
        return module.drawings(run)
    except DamagedRunError as error:
        return [NotDrawn(module.TITLE, error.message)]


def _named_by_run(outcome: Outcome, run: Run) -> Outcome:
    if isinstance(outcome, NotDrawn):
        return replace(outcome, title=f"{outcome.title}, {run.run_id}")
    return replace(
        outcome,
        stem=f"{outcome.stem}_{file_stem(run.run_id)}",
        title=f"{outcome.title}, {run.run_id}",
    )


def _verdict(run: Run) -> list[str]:
    return [*sentences(run), *find_exhibits(run.manifest.workload).remarks(run)]


def _report_folder(run_dirs: Sequence[Path], out: Path | None) -> Path:
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        return out
    if len(run_dirs) == 1:
        return folder_below(Path(run_dirs[0]), "report")
    raise UsageError(
        f"{len(run_dirs)} runs are given, and no folder for their common report",
        "Add --out FOLDER.",
    )


def _report_command(
    run_dirs: Sequence[Path], out: Path | None, venue: str, allow_damaged: bool
) -> str:
    parts = ["python", "-m", "harness.report", *(str(folder) for folder in run_dirs)]
    parts += [] if out is None else ["--out", str(out)]
    parts += [] if venue == "ieee" else ["--venue", venue]
    parts += ["--allow-damaged"] if allow_damaged else []
    return shlex.join(parts)


def _write_table(table: Table, folder: Path) -> list[Path]:
    contents = {
        f"{table.name}.csv": to_csv(table),
        f"{table.name}.md": to_markdown(table),
        f"{table.name}.tex": to_latex(table),
    }
    return [_write(folder, f"tables/{name}", text) for name, text in contents.items()]


def _write(folder: Path, name: str, text: str) -> Path:
    return write_below(folder, name, written(text).encode())


def _page_table(table: Table, files: Iterable[Path], folder: Path) -> PageTable:
    return PageTable(table, [path.relative_to(folder).as_posix() for path in files])


def _page_figure(drawing: Drawing, files: Sequence[Path], folder: Path) -> PageFigure:
    png = next(path for path in files if path.suffix == ".png")
    names = [path.relative_to(folder).as_posix() for path in files]
    return PageFigure(drawing.title, drawing.caption, png, names)
