"""Write the README of a bundle: what is claimed, and the command that shows each claim."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.core.markdown import code_span, markdown_escape, markdown_line, one_line
from harness.evidence.going_on import MEASURED
from harness.evidence.paired import INTERVAL_WORDS
from harness.evidence.words import share_words
from harness.workloads.registry import DEFAULT

LEVEL_0 = "python -I -m harness.report data/* --out rebuilt"


@dataclass(frozen=True)
class PackedRun:
    """Hold what the README says of one run.

    `energy_j` is the sum over `energy_cells` of its finished `cells`.
    """

    run_id: str
    workload: str
    reference: str
    device: str
    command: str
    created: str
    size: str
    time_s: float
    energy_j: float | None
    energy_cells: int
    energy_origin: str
    cells: int
    data_checksum: str
    commit: str
    verdict: str
    check_status: int
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """Hold one claim: a method's ratio to the reference, its 95 % interval, its pairs."""

    run: str
    method: str
    quantity: str
    ratio: float
    low: float | None
    high: float | None
    pairs: int

    @property
    def expected(self) -> str:
        """Return the value with its tolerance, which is the interval."""
        if self.low is None or self.high is None:
            return f"{self.ratio:.4g}×; n = {self.pairs}, no interval"
        return f"{self.ratio:.4g}× ({self.low:.4g}–{self.high:.4g}), n = {self.pairs}"


PLACES = {
    "time": "`paper/tables/pairs.*`, `paper/figures/breakdown*`",
    "loss": "`paper/tables/pairs.*`, `paper/figures/loss_over_rounds*`",
}
TABLE = "`paper/tables/pairs.*`"
"""Where a ratio of commands stands; figures of both kinds of ratio are of what was trained."""

ENERGY = "`paper/tables/pairs.*`, `paper/figures/pareto*`"


def readme(
    runs: Sequence[PackedRun],
    claims: Sequence[Claim],
    withheld: Mapping[str, Sequence[str]],
    apart: Sequence[str] = (),
) -> str:
    """Return the README as Markdown; `apart` says which runs are no one series, and why."""
    names = " or ".join(dict.fromkeys(run.reference for run in runs if run.reference))
    reference = markdown_escape(names or "a reference")
    measured = all(run.workload == MEASURED for run in runs)
    parts = [
        _head(measured), _claims(claims, reference, measured), _levels(runs, claims, measured),
        _runs(runs), *map(markdown_line, apart), _withheld(withheld), CONTENTS,
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _head(measured: bool) -> str:
    what = (
        "what commands and programs cost in time and joules."
        if measured
        else "what training costs in time and joules, and what that buys."
    )
    return (
        f"# Artifact\n\nResults of the MAS edge harness: {what}\n"
        "Nothing here needs the hardware that was measured.\n\n"
        "`sha256sum -c SHA256SUMS` and `python -m harness.pack --verify .` say whether every file\n"
        "is as it was packed; the latter with `--key FILE` also whether whoever has that key"
        " signed it."
    )


def _claims(claims: Sequence[Claim], reference: str, measured: bool) -> str:
    head = "## Claims\n\n"
    if not claims:
        noun = "command" if measured else "method"
        return head + f"No {noun} was compared with {reference}; see the tables in `paper/`."
    lines = [
        f"Ratios to {reference} of the same {'turn' if measured else 'seed'}; the tolerance is the",
        f"{INTERVAL_WORDS}.",
        "",
        "| claim | table, figure | command | expected |",
        "|---|---|---|---|",
    ]
    for claim in claims:
        run = f", {markdown_escape(claim.run)}" if claim.run else ""
        own = markdown_escape(f"{claim.method}: {claim.quantity}")
        what = f"{own} over that of {reference}{run}"
        place = TABLE if measured else PLACES.get(claim.quantity.split()[-1], ENERGY)
        lines.append(f"| {what} | {place} | level 0 | {claim.expected} |")
    return head + "\n".join(lines)


def _levels(runs: Sequence[PackedRun], claims: Sequence[Claim], measured: bool) -> str:
    lines = [
        "## Two levels" if measured else "## Three levels",
        "",
        f"{'Both' if measured else 'All'} need the harness of the version in `manifest.json`,"
        " installed with `env/constraints.txt`. `-I` keeps Python from taking modules out of this"
        " folder, which is somebody else's.",
        "",
        "**Level 0**, any laptop, minutes: make every table and figure again, to the byte.",
        "",
        "```",
        LEVEL_0,
        "diff -r paper rebuilt",
        "```",
        "",
        *(_measured_again() if measured else _trained_again(runs, claims)),
        "",
        "| run | takes | command |",
        "|---|---|---|",
    ]
    lines += [f"| {r.run_id} | {_takes(r)} | {_typed(r)} |" for r in runs]
    return "\n".join(lines)


def _measured_again() -> list[str]:
    """Return what can be done again of a program that is not here, and of which little is known."""
    return [
        "**Level 1**, the device itself: measure again, by the command below. The program that was"
        " measured is not in this folder.",
    ]


def _trained_again(runs: Sequence[PackedRun], claims: Sequence[Claim]) -> list[str]:
    costs = any(claim.low is not None for claim in claims)
    within = ", time and energy within the intervals above" if costs else ""
    return [
        "**Level 1**, any laptop, minutes: the whole chain on tiny data with a made-up meter.",
        "",
        "```",
        *dict.fromkeys(map(_level_1, runs)),
        "```",
        "",
        "**Level 2**, the device itself: measure again, then `python -m harness.compare` with the"
        " run here.",
        f"Losses agree to the bit on the same host and software{within}.",
    ]


def _typed(run: PackedRun) -> str:
    """Return the command of a run; a program that opens a measurement itself has none."""
    return _cell(code_span(run.command)) if run.command else "the program that was measured"


def _level_1(run: PackedRun) -> str:
    workload = (
        "" if run.workload == DEFAULT else f" --workload {shlex.quote(one_line(run.workload))}"
    )
    return f"python -I -m harness.run{workload} --quick --meter simulated --out level1"


def _takes(run: PackedRun) -> str:
    took = f"{run.time_s / 60:.2g} min"
    if run.energy_j is None:
        return took
    words = share_words(run.energy_cells, run.cells) or " in cells"
    return f"{took}, {run.energy_j:.3g} J {run.energy_origin}{words}"


def _runs(runs: Sequence[PackedRun]) -> str:
    parts = ["## Runs", "What `python -m harness.check` said when they were packed."]
    for run in runs:
        found = "".join(f"\n- {markdown_line(text)}" for text in run.findings)
        device = markdown_escape(run.device)
        words = f"**{run.run_id}**: {device}; {run.size}.\nVerdict: {run.verdict}.\n{found}"
        parts.append(words.rstrip())
    return "\n\n".join(parts)


def _withheld(withheld: Mapping[str, Sequence[str]]) -> str:
    if not withheld:
        return "Nothing was taken out of the files of the runs."
    lines = ["Taken out of the files of the runs, as it names people or machines:", ""]
    lines += [f"- {code_span(name)}: {', '.join(what)}" for name, what in withheld.items()]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Return code that does not end a cell of a Markdown table."""
    return text.replace("|", "\\|")


CONTENTS = """## Contents

- `manifest.json`: this page for programs
- `data/`: the runs; `schemas/` says what every column means
- `paper/`: tables (CSV, Markdown, LaTeX), one LaTeX macro per number, figures, one page
- `env/`: tested versions, and per run the host, software, meter and models
- `LICENSE`, `CITATION.cff`, `SHA256SUMS`"""
