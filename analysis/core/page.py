"""One HTML page that needs nothing else: verdict, table, figures, origin of every number."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.core.disturbed import run_words
from analysis.core.loading import Run
from analysis.core.numbers import SeedMean, energy_sources, source_words
from analysis.core.tables.table import Content, Shown, Table, display_rows, footnote_letter
from analysis.core.words import data_words, no_energy_words, origin_words, summary_words

FOLDED = {
    "measures_all": "Every measure of every task",
    "setup": "What ran on what",
    "settings": "Settings",
    "phase_time": "Time by phase",
    "inference_models": "Inference: every model alone",
    "inference_throughput": "Inference: threads and batch sizes",
}
"""Tables that few readers want at once, with the words to unfold them."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""What the browser may load for the page: nothing that is not inside it."""

FIRST_WORDS = 4
"""Sentences of the verdict that stand on the first screen; the others are folded."""

FEW_METHODS = 3

MARKS = (
    "Bold is the best of its column, underlined the second best, where the 95 % interval reaches "
    "into that of no other; ties carry no mark. ↓ lower is better, ↑ higher.",
    "– is a value that is not there; the small letter behind it leads to the reason below the "
    "table. Measured and modelled figures never share a column.",
)
"""What the marks of a table stand for."""

LONG = 40
"""Letters from which a field may wrap."""

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; line-height: 1.5;
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
td.long { white-space: normal; min-width: 16rem; overflow-wrap: anywhere; }
.warning.disturbed { border-color: #c0182b; background: #c0182b22; font-weight: 600; }
.lead { display: grid; gap: 1.4rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); }
.lead h2 { margin-top: .4rem; } .lead figure { margin-top: .4rem; }
.legend { opacity: .85; }
.scroll { margin-top: .3rem; } p.words { margin-top: 1.8rem; }
details { margin: .8rem 0; } summary { cursor: pointer; font-weight: 600; }
.plain { font-size: .9rem; padding-left: 1.2rem; overflow-wrap: anywhere; }
.caption { overflow-wrap: anywhere; font-size: .85rem; opacity: .85; margin: .4rem 0; }
.figures { display: grid; gap: 1.4rem;
  grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
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


@dataclass(frozen=True)
class Page:
    """Hold everything the page shows.

    Attributes:
        runs: the series reported.
        verdicts: per series its name and its sentences.
        tables: in the order shown.
        figures: in the order shown.
        not_drawn: sentences on figures that are not made.
        apart: sentences on series that are not pooled.
        command: the command that makes this page again.
        macros: the file of LaTeX macros, relative to the page.
        legend: sentences that say what names stand for, such as the letters of tasks.
    """

    runs: Sequence[Run]
    verdicts: Sequence[tuple[str, Sequence[str]]]
    tables: Sequence[PageTable]
    figures: Sequence[PageFigure]
    not_drawn: Sequence[str]
    apart: Sequence[str]
    command: str
    macros: str
    legend: Sequence[str] = ()


def render_page(page: Page) -> str:
    """Return the whole page as text."""
    runs = page.runs
    title = _title(runs)
    lead, others = next(iter(page.figures), None), page.figures[1:]
    first = [entry for entry in page.tables if entry.table.name not in FOLDED]
    rest = [entry for entry in page.tables if entry.table.name in FOLDED]
    commands = dict.fromkeys(facts.command for run in runs for facts in run.members)
    body = [
        f"<h1>{_text(title)}</h1>",
        *[_run_facts(run) for run in runs],
        *[_warning(origin_words(run)) for run in runs],
        *[_warning(_disturbed(run), "warning disturbed") for run in runs],
        '<div class="lead"><section><h2>In short</h2>',
        *[_verdict(name, words, len(page.verdicts) > 1) for name, words in page.verdicts],
        "</section>",
        _figure(lead) if lead else "",
        "</div>",
        _list(page.apart),
        "<h2>Tables</h2>",
        _legend(page.legend),
        *[_table(entry) for entry in first],
        *[_folded(entry) for entry in rest],
        f'<p class="caption">Every number as a LaTeX macro: {_links([page.macros])}</p>',
        "<h2>Figures</h2>",
        f'<div class="figures">{"".join(map(_figure, others))}</div>',
        *(["<h3>Not drawn</h3>", _list(page.not_drawn)] if page.not_drawn else []),
        "<h2>What is measured and what is modelled</h2>",
        *[_origin(run, len(runs) > 1) for run in runs],
        "<h2>Commands</h2>",
        f"<pre>{_text(chr(10).join([*commands, page.command]))}</pre>",
    ]
    return _document(title, "\n".join(part for part in body if part))


def _document(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _title(runs: Sequence[Run]) -> str:
    """Return in words what the page is about; names of runs stand below it."""
    devices = list(dict.fromkeys(run.manifest.device_title for run in runs))
    methods = list(dict.fromkeys(method for run in runs for method in run.methods))
    what = ", ".join(methods) if len(methods) <= FEW_METHODS else f"{len(methods)} methods"
    return f"What {what or 'a run'} cost{'s' if len(methods) == 1 else ''} on {', '.join(devices)}"


def _legend(more: Sequence[str]) -> str:
    """Return how to read tables and figures: what every mark stands for."""
    return _list([*MARKS, *more]).replace('"plain"', '"plain legend"')


def _run_facts(run: Run) -> str:
    facts = run.manifest
    tasks = f"tasks {run.tasks}" if run.tasks else ""
    parts = [run.run_id, tasks, summary_words(run), facts.created]
    return f'<p class="facts">{_text(" · ".join(part for part in parts if part))}</p>'


def _disturbed(run: Run) -> str:
    words = run_words(run)
    return f"{words}: its times and joules are not those of a quiet device" if words else ""


def _warning(words: str, kind: str = "warning") -> str:
    return f'<p class="{kind}">{_text(words[:1].upper() + words[1:])}.</p>' if words else ""


def _verdict(name: str, words: Sequence[str], named: bool) -> str:
    heading = f"<h3>{_text(name)}</h3>" if named else ""
    first, rest = words[:FIRST_WORDS], words[FIRST_WORDS:]
    more = f"<details><summary>More</summary>{_sentences(rest)}</details>" if rest else ""
    return f"{heading}{_sentences(first)}{more}"


def _sentences(words: Sequence[str]) -> str:
    items = "".join(f"<li>{_text(_whole_numbers(sentence))}</li>" for sentence in words)
    return f'<ul class="verdict">{items}</ul>'


def _table(entry: PageTable) -> str:
    table = entry.table
    heads = []
    for index, heading in enumerate(table.headings):
        unit = f"<small>{_text(heading.unit)}</small>" if heading.unit else ""
        kind = ' class="number"' if table.is_numeric(index) else ""
        button = f'<button type="button">{_text(_unbroken(heading.label))}</button>'
        heads.append(f'<th scope="col"{kind}>{button}{unit}</th>')
    rows = []
    for contents, row in zip(table.rows, display_rows(table), strict=True):
        fields = [
            _field(content, field, table.is_numeric(index))
            for index, (content, field) in enumerate(zip(contents, row, strict=True))
        ]
        rows.append(f"<tr>{''.join(fields)}</tr>")
    notes = "".join(
        f"<br><sup>{footnote_letter(n)}</sup> {_text(reason)}"
        for n, reason in enumerate(table.footnotes())
    )
    return (
        f'<p class="caption words">{_text(table.caption)}</p><div class="scroll">'
        f'<table class="sortable" id="{_text(table.name)}"><thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f'<p class="caption">{_links(entry.files)}{notes}</p>'
    )


def _field(content: Content, field: Shown, numeric: bool) -> str:
    value = repr(content.mean) if isinstance(content, SeedMean) else field.text
    mark = f"<sup>{field.mark}</sup>" if field.mark else ""
    text = {0: "{}", 1: "<strong>{}</strong>", 2: "<u>{}</u>"}[field.rank].format(
        _text(field.plain)
    )
    kind = ' class="number"' if numeric else ' class="long"' if len(field.text) > LONG else ""
    return f'<td{kind} data-value="{_text("" if field.mark else value)}">{text}{mark}</td>'


def _folded(entry: PageTable) -> str:
    title = FOLDED[entry.table.name]
    return f"<details><summary>{_text(title)}</summary>{_table(entry)}</details>"


def _list(words: Sequence[str]) -> str:
    items = "".join(f"<li>{_text(entry)}</li>" for entry in words)
    return f'<ul class="plain">{items}</ul>' if words else ""


def _unbroken(label: str) -> str:
    """Return a label whose arrow stays on the line of its last word."""
    return label.replace(" ↓", "\u00a0↓").replace(" ↑", "\u00a0↑")


def _whole_numbers(sentence: str) -> str:
    """Return a sentence that breaks neither before a % nor within p = 0.02."""
    return re.sub(r"(?<=[=0-9]) (?=[0-9%])| (?== [0-9])", "\u00a0", sentence)


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
    trained = [("Losses", "measured on the test set after real training")]
    rows = [
        *(trained if facts.yardstick.objective else ()),
        ("Time", f"measured on {facts.host_description}" + _device_time(run)),
        ("Measured energy", measured or f"none: {no_energy_words(run)}"),
        ("Modelled energy", "none" if model is None else _model_words(run)),
        ("Data", data_words(facts)),
    ]
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


def _links(files: Sequence[str]) -> str:
    return " · ".join(
        f'<a href="{_text(name)}">{_text(name.rsplit(".", 1)[-1].upper())}</a>' for name in files
    )


def _text(value: str) -> str:
    return html.escape(value, quote=True)
