"""One HTML page that needs nothing else: verdict, table, figures, origin of every number."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.loading import Run
from analysis.method_tables import method_summary, origin_words
from analysis.numbers import Value, energy_sources, source_words
from analysis.tables import Table, display_rows

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.facts { margin: .3rem 0 1rem; opacity: .75; font-size: .9rem; overflow-wrap: anywhere; }
.warning { border-left: .3rem solid #d55e00; background: #d55e001f; padding: .6rem .8rem;
  margin: .8rem 0; }
.verdict { padding: 0; list-style: none; }
.verdict li { padding: .5rem .8rem; background: var(--soft); margin: .35rem 0;
  border-radius: .3rem; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .3rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .65rem; text-align: left; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
th { vertical-align: bottom; line-height: 1.25; border-bottom: 2px solid var(--line); }
th button { all: unset; cursor: pointer; font-weight: 600; white-space: normal;
  min-width: 3.5rem; }
th button:focus-visible { outline: 2px solid var(--accent); }
th small { display: block; font-weight: 400; opacity: .75; white-space: nowrap; }
td.number, th.number { text-align: right; }
th[aria-sort="ascending"] button::after { content: " ▴"; }
th[aria-sort="descending"] button::after { content: " ▾"; }
td:first-child, th:first-child { position: sticky; left: 0; background: Canvas; }
.caption { font-size: .85rem; opacity: .85; margin: .4rem 0; }
.figures { display: grid; gap: 1.4rem;
  grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); }
figure { margin: 0; min-width: 0; }
figure img { width: 100%; height: auto; background: white; border-radius: .3rem; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .7rem; overflow-x: auto; border-radius: .3rem;
  font-size: .85rem; }
dt { font-weight: 600; margin-top: .5rem; } dd { margin: 0; overflow-wrap: anywhere; }
a { color: var(--accent); }
@media (prefers-color-scheme: dark) { a { color: #6cb6ff; } }
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("th button").forEach((button, column) => {
    button.addEventListener("click", () => {
      const head = button.parentElement;
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      const key = (row) => row.cells[column].dataset.value;
      rows.sort((a, b) => {
        const x = key(a), y = key(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : Number(x) - Number(y);
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
"""


@dataclass(frozen=True)
class PageTable:
    """Pair a table with the files that lie beside the page, relative to it."""

    table: Table
    files: Sequence[str]


@dataclass(frozen=True)
class PageFigure:
    """Hold a drawn figure: words, its PNG, and its files relative to the page."""

    title: str
    caption: str
    png: Path
    files: Sequence[str]


def render_page(
    runs: Sequence[Run],
    verdicts: Sequence[tuple[str, Sequence[str]]],
    tables: Sequence[PageTable],
    figures: Sequence[PageFigure],
    report_command: str,
) -> str:
    """Return the whole page as text.

    Args:
        runs: the runs reported.
        verdicts: per run its name and its sentences.
        tables: in the order shown.
        figures: in the order shown.
        report_command: the command that makes this page again.
    """
    title = ", ".join(run.run_id for run in runs)
    body = [
        f"<h1>{_text(title)}</h1>",
        *[_run_facts(run) for run in runs],
        *[_warning(run) for run in runs if origin_words(run)],
        "<h2>In short</h2>",
        *[_verdict(name, words, len(verdicts) > 1) for name, words in verdicts],
        "<h2>Methods</h2>",
        *[_table(entry) for entry in tables],
        "<h2>Figures</h2>",
        f'<div class="figures">{"".join(_figure(figure) for figure in figures)}</div>',
        "<h2>What is measured and what is modelled</h2>",
        *[_origin(run, len(runs) > 1) for run in runs],
        "<h2>Commands</h2>",
        *[f"<pre>{_text(run.manifest.command)}</pre>" for run in runs],
        f"<pre>{_text(report_command)}</pre>",
    ]
    return _document(title, "\n".join(part for part in body if part))


def _document(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _run_facts(run: Run) -> str:
    facts = run.manifest
    parts = [facts.device_title, f"tasks {run.tasks}", method_summary(run), facts.created]
    return f'<p class="facts">{_text(" · ".join(part for part in parts if part))}</p>'


def _warning(run: Run) -> str:
    words = origin_words(run)
    return f'<p class="warning">{_text(words[:1].upper() + words[1:])}.</p>'


def _verdict(name: str, words: Sequence[str], named: bool) -> str:
    heading = f"<h3>{_text(name)}</h3>" if named else ""
    return f'{heading}<ul class="verdict">{"".join(f"<li>{_text(w)}</li>" for w in words)}</ul>'


def _table(entry: PageTable) -> str:
    table = entry.table
    heads = []
    for index, heading in enumerate(table.headings):
        unit = f"<small>{_text(heading.unit)}</small>" if heading.unit else ""
        kind = ' class="number"' if table.is_numeric(index) else ""
        button = f'<button type="button">{_text(_unbroken(heading.label))}</button>'
        heads.append(f'<th scope="col"{kind}>{button}{unit}</th>')
    rows = []
    for contents, texts in zip(table.rows, display_rows(table), strict=True):
        fields = []
        for index, (content, text) in enumerate(zip(contents, texts, strict=True)):
            value = repr(content.mean) if isinstance(content, Value) else content or ""
            kind = ' class="number"' if table.is_numeric(index) else ""
            fields.append(f'<td{kind} data-value="{_text(value)}">{_text(text)}</td>')
        rows.append(f"<tr>{''.join(fields)}</tr>")
    return (
        f'<p class="caption">{_text(table.caption)}</p><div class="scroll">'
        f'<table class="sortable"><thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f'<p class="caption">{_links(entry.files)}</p>'
    )


def _unbroken(label: str) -> str:
    """Return a label whose arrow stays on the line of its last word."""
    return label.replace(" ↓", "\u00a0↓").replace(" ↑", "\u00a0↑")


def _figure(figure: PageFigure) -> str:
    picture = base64.b64encode(figure.png.read_bytes()).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{picture}" alt="{_text(figure.title)}">'
        f"<figcaption><strong>{_text(figure.title)}.</strong> {_text(figure.caption)} "
        f"{_links(figure.files)}</figcaption></figure>"
    )


def _origin(run: Run, named: bool) -> str:
    facts = run.manifest
    sources = energy_sources(run.done)
    measured = "; ".join(f"{source[0]} ({source_words(source)})" for source in sources)
    model = facts.energy_model
    rows = [
        ("Losses", "measured on the test set after real training"),
        ("Time", f"measured on {facts.host_description}" + _device_time(run)),
        ("Measured energy", measured or f"none: {_energy_reason(run)}"),
        ("Modelled energy", "none" if model is None else _model_words(run)),
        ("Data", f"{facts.text('data', 'name')} {facts.text('data', 'version')}, checksum "
                 f"{facts.data_checksum or 'unknown'}"),
    ]  # fmt: skip
    rows += [("Note", note) for note in run.notes]
    heading = f"<h3>{_text(run.run_id)}</h3>" if named else ""
    items = "".join(f"<dt>{_text(name)}</dt><dd>{_text(words)}</dd>" for name, words in rows)
    return f"{heading}<dl>{items}</dl>"


def _device_time(run: Run) -> str:
    facts = run.manifest
    if facts.host_matches_device:
        return f", which is the {facts.device_title}"
    if run.done["time_model_s"].notna().any():
        return f"; the time of the {facts.device_title} is modelled, in a column of its own"
    return f"; no time is given for the {facts.device_title}"


def _model_words(run: Run) -> str:
    idle = run.manifest.text("energy_model", "idle_w")
    full = run.manifest.text("energy_model", "full_load_w")
    source = run.manifest.text("energy_model", "source")
    return f"computed from the profile of the {run.manifest.device_title}: {idle} W idle, " + (
        f"{full} W at full load" + (f" ({source})" if source else "")
    )


def _energy_reason(run: Run) -> str:
    reasons = [str(reason) for reason in run.done["energy_reason"].unique() if reason]
    return "; ".join(reasons) or run.manifest.meter_reason or "no meter"


def _links(files: Sequence[str]) -> str:
    return " · ".join(
        f'<a href="{_text(name)}">{_text(name.rsplit(".", 1)[-1].upper())}</a>' for name in files
    )


def _text(value: str) -> str:
    return html.escape(value, quote=True)
