"""Say where numbers come from: run, command, source, data, host, seeds and the kind of interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.core.loading import Run
from analysis.core.manifest import Manifest
from analysis.core.numbers import seed_words

FEWEST_FOR_LIMITS = 3


def provenance(runs: Sequence[Run]) -> list[str]:
    """Return the lines that say where the numbers of a table or figure come from."""
    lines: list[str] = []
    for run in runs:
        for facts in run.members:
            lines.append(f"run: {facts.run_id}")
            lines.append(f"command: {facts.command}")
        lines.append(f"source: {source_words(run.manifest)}")
        lines.append(f"data: {data_words(run.manifest)}")
        if run.manifest.quick:
            lines.append("quick run: not for publication")
    return lines


def source_words(facts: Manifest) -> str:
    """Return the commit of the code that ran, and whether it was changed since."""
    commit = facts.text("source", "commit")
    if not commit:
        return "commit unknown"
    dirty = facts.section("source").get("dirty") is True
    return f"commit {commit}" + (", with uncommitted changes" if dirty else "")


def data_words(facts: Manifest) -> str:
    """Return name, version and checksum of the data set."""
    name = " ".join(text for key in ("name", "version") if (text := facts.text("data", key)))
    return f"{name or 'unnamed'}, checksum {facts.data_checksum or 'unknown'}"


def spread_words(runs: Sequence[Run]) -> str:
    """Return the sentence on n and the interval that a caption carries."""
    counts = sorted({seed_count(run, method) for run in runs for method in run.methods})
    if not counts:
        return "No finished cell."
    judged = runs[0].manifest.yardstick
    if counts == [1]:
        return f"n = 1 {judged.unit}, so no spread can be given."
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    repeats = any(run.done["repeat"].nunique() > 1 for run in runs) and judged.unit == "seed"
    return (
        f"Mean ± 95 % half-width (Student's t, longer where skewed) over n = {span} {judged.unit}s"
        f"{', repeats averaged within each seed' if repeats else ''}."
    )


def is_wide(n: object) -> bool:
    """Tell whether an interval rests on so few seeds that it must not set the limits of an axis.

    With two values Student's t takes 12.7 standard errors, with three 4.3.
    """
    return float(str(n)) < FEWEST_FOR_LIMITS


def wide_words(counts: Iterable[object]) -> str:
    """Return the sentence on intervals of two seeds for a caption that has some, else nothing."""
    two = any(float(str(n)) == FEWEST_FOR_LIMITS - 1 for n in counts)
    return " Intervals of two seeds may leave the axes." if two else ""


def origin_words(run: Run) -> str:
    """Return a warning if the host is not the device or the run is a quick one, else nothing."""
    facts = run.manifest
    parts: list[str] = []
    if not facts.host_matches_device:
        columns = ["time_model_s", "energy_model_j"]
        modelled = bool(run.done[columns].notna().any(axis=None))
        where = f"{facts.device_title} modelled" if modelled else f"not on {facts.device_title}"
        if modelled and facts.model_interval:
            where += f" ({facts.model_interval})"
        parts.append(f"trained on {facts.host_description}; {where}")
    if facts.quick:
        parts.append("quick run, not for publication")
    return "; ".join(parts)


def no_energy_words(run: Run) -> str:
    """Return why a run has no measured energy."""
    reasons = [str(reason) for reason in run.done["energy_reason"].unique() if reason]
    return "; ".join(reasons) or run.manifest.meter_reason or "no meter"


def seed_count(run: Run, method: str) -> int:
    """Return the number of seeds, or turns, of a method with a finished cell."""
    by = run.manifest.yardstick.paired_by
    return int(run.done.loc[run.done["method"] == method, by].nunique())


def summary_words(run: Run) -> str:
    """Return how many methods, cells and seeds a run finished, in words."""
    judged = run.manifest.yardstick
    seeds = seed_words(int(run.done[judged.paired_by].nunique()), judged.unit)
    runs = f"{len(run.members)} runs, " if len(run.members) > 1 else ""
    return f"{runs}{len(run.methods)} {judged.noun}s, {len(run.done)} finished cells, {seeds}"


def sentence(text: str) -> str:
    """Return text as a sentence: a capital first, one full stop last."""
    stripped = text.strip().rstrip(".")
    return f"{stripped[:1].upper()}{stripped[1:]}."
