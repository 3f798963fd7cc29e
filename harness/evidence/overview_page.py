"""Write one page that lists every run of a folder and links to its report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from harness.core.guarded_folder import write_below
from harness.core.shell_words import written
from harness.evidence.bundles import WHAT, bundle_words
from harness.evidence.overview import RunEntry, overview
from harness.evidence.words import share_words

NAME = "index.html"
MARK = "<!-- written by harness: overview of runs -->"
"""Without it a page of this name is somebody's own and is left alone."""

STYLE = """
:root{color-scheme:light dark;--line:#8884;--dim:#767676}
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}
.box{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid var(--line);
vertical-align:top}
th{white-space:nowrap}
td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.dim{color:var(--dim)}
.bad{color:#c0392b;font-weight:600}
@media(prefers-color-scheme:dark){.bad{color:#ff8a7a}.dim{color:#a5a5a5}}
"""

HEADERS = ("run", "device", "workload", "methods", "status", "joules", "best value", "report")


def write_overview(folder: Path) -> Path | None:
    """Write the page of the runs below a folder; None if a page of somebody else lies there."""
    path = folder / NAME
    if path.is_file() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        return None
    write_below(folder, NAME, written(overview_html(folder, overview(folder))).encode())
    return path


def overview_html(folder: Path, runs: Sequence[RunEntry]) -> str:
    """Return the page; runs that began last stand first."""
    newest = sorted(runs, key=lambda run: (run.created, run.folder.name), reverse=True)
    head = "".join(f"<th>{title}</th>" for title in HEADERS)
    rows = "\n".join(_row(folder, run) for run in newest)
    number = sum(not run.is_bundle for run in runs)
    count = f"{number} run{'' if number == 1 else 's'}"
    return (
        f"<!doctype html>\n<html lang=en>\n{MARK}\n<meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{count}</title>\n<style>{STYLE}</style>\n<h1>{count}</h1>\n"
        "<p>Joules are the sum over all finished cells of a run, or over as many as are named "
        "behind them: measured where a meter worked, else <em>modelled</em> from the profile of "
        "the device; those <em>made up</em> or <em>replayed</em> are of no sensor. The best value "
        "is the best mean of a method, over seeds and repeats.</p>\n"
        f"<div class=box><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n"
        "</table></div>\n</html>\n"
    )


def _row(folder: Path, run: RunEntry) -> str:
    name = escape(os.path.relpath(run.folder, folder))
    if run.is_bundle:
        words = escape(f"{WHAT}. {bundle_words(run.folder)}")
        return f"<tr><td>{name}</td><td colspan={len(HEADERS) - 1} class=dim>{words}</td></tr>"
    if run.problem:
        problem = f"<td colspan={len(HEADERS) - 1} class=bad>cannot be read: {escape(run.problem)}"
        return f"<tr><td>{name}</td>{problem}</td></tr>"
    quick = " <span class=dim>quick</span>" if run.quick else ""
    status = escape(run.status)
    cells = ", ".join(f"{n} {escape(state)}" for state, n in sorted(run.cells.items()))
    shown = f"<span class=bad>{status}</span>" if run.status != "done" else status
    fields = (
        f"<td>{name}{quick}</td>", f"<td>{escape(run.device)}</td>",
        f"<td>{escape(run.workload)}</td>", f"<td>{escape(', '.join(run.methods))}</td>",
        f"<td>{shown}<br><span class=dim>{cells}</span></td>",
        f"<td class=n>{escape(joules(run))}</td>", f"<td>{escape(best_words(run))}</td>",
        f"<td>{_link(folder, run)}</td>",
    )  # fmt: skip
    return f"<tr>{''.join(fields)}</tr>"


def _link(folder: Path, run: RunEntry) -> str:
    if run.page is None:
        return "<span class=dim>none yet</span>"
    return f'<a href="{quote(os.fsencode(os.path.relpath(run.page, folder)))}">report</a>'


def joules(run: RunEntry) -> str:
    """Return the joules of a run with their origin, and of which cells if not of all."""
    value_j, cells = run.energy_j, run.energy_cells
    if value_j is None:
        value_j, cells = run.energy_model_j, run.energy_model_cells
    if value_j is None:
        return "–"
    digits = f"{float(f'{value_j:.4g}'):.0f}" if value_j >= 1000 else f"{value_j:.4g}"
    return f"{digits} J {run.energy_origin}{share_words(cells, run.cells.get('done', cells))}"


def best_words(run: RunEntry) -> str:
    """Return the best method and its mean."""
    if run.best is None:
        return "–"
    method, value = run.best
    return f"{run.objective} {value:.4g} ({method})"
