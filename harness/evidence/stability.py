"""Find what makes figures doubtful: spread, gaps, drift, what happened to the board."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence

from harness.evidence.cell_flags import AGAIN, OR_SMALLER, SPOILT_WINDOW, flag_meaning
from harness.evidence.charged import charged
from harness.evidence.findings import Finding, named
from harness.evidence.reading import RunFiles

SPREAD_LIMIT = 0.05
"""Coefficient of variation over repeats above which a figure is called unstable (our choice)."""

IDLE_DRIFT_LIMIT = 0.1
"""Change of idle power from before to after, over the power before, that is called drift."""

ERROR_LIMIT = 0.05
"""Share of energy_j that the bound on its error may reach."""

OF_SAMPLES = " (of sampled power: if no peak lies between two of 32 readings or more)"
"""What the bound rests on; a counter's holds whatever the power does."""

LENGTHS = ("rounds", "epochs")
"""Options by which cells of some workload take longer."""

CALMER = "raise --cool-down; more --repeats average"
"""What else makes figures of a run agree."""


def stability(run: RunFiles, spread_limit: float = SPREAD_LIMIT) -> Iterator[Finding]:
    """Yield what makes the figures of finished cells doubtful.

    Args:
        run: The run.
        spread_limit: Coefficient of variation over repeats that is still stable, 0.05 for 5 %.
    """
    yield from _spread(run, spread_limit)
    yield from _same_training(run)
    yield from _windows(run)
    yield from _errors(run)
    yield from _cell_flags(run)
    yield from _shared(run)
    yield from _idle(run)


def coefficient_of_variation(values: Sequence[float]) -> float:
    """Return the sample standard deviation over the mean, a pure number."""
    mean = math.fsum(values) / len(values)
    return statistics.stdev(values) / mean if mean else math.inf


def repeats(run: RunFiles, column: str) -> dict[tuple[str, int], list[float]]:
    """Return the values of a column by method and seed, where there are at least two repeats."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in run.done:
        if row[column] is not None and math.isfinite(row[column]):
            found[str(row["method"]), int(row["seed"])].append(float(row[column]))
    return {key: values for key, values in found.items() if len(values) > 1}


def _spread(run: RunFiles, limit: float) -> Iterator[Finding]:
    for column in ("time_s", "energy_j"):
        spreads = {k: coefficient_of_variation(v) for k, v in repeats(run, column).items()}
        if not spreads:
            continue
        method, seed = max(spreads, key=lambda key: spreads[key])
        wide = sum(spread > limit for spread in spreads.values())
        widest = method if run.is_measured else f"{method} seed {seed}"
        text = (
            f"{column} spreads over repeats by up to {100 * spreads[method, seed]:.1f} %"
            f" ({widest}); the limit is {100 * limit:g} %"
        )
        if not wide:
            yield Finding("note", "spread", text)
            continue
        raised = "more --repeat average" if run.is_measured else CALMER
        remedy = f"Stop other programs, pin clocks, {raised}."
        each = "commands" if run.is_measured else "method-seed pairs"
        many = f", passed by {wide} of {len(spreads)} {each}"
        yield Finding("unstable", "spread", text + many, remedy)


def _same_training(run: RunFiles) -> Iterator[Finding]:
    """Repeats of one seed train the same model, so their losses must be the same to the bit."""
    for (method, seed), losses in repeats(run, "total_loss").items():
        if len(set(losses)) > 1:
            different = ", ".join(dict.fromkeys(map(repr, losses)))
            text = f"repeats of {method} seed {seed} ended with different losses: {different}"
            remedy = "Training is not repeatable on this host; report it with the manifest."
            yield Finding("unstable", "not-repeatable", text, remedy)


def _windows(run: RunFiles) -> Iterator[Finding]:
    if not run.section("meter"):
        return
    reasons: dict[str, list[str]] = defaultdict(list)
    for row in run.done:
        if row["energy_j"] is None:
            reasons[str(row["energy_reason"] or "no reason given")].append(str(row["cell"]))
    for reason, cells in reasons.items():
        text = f"no valid measured energy in {named(cells)}: {reason}"
        yield Finding("unstable", "window", text, "python -m harness.doctor examines the meter.")
    spoilt: dict[str, set[str]] = defaultdict(set)
    for cell, phases in charged(run).items():
        for flag in "+".join(str(phase["flags"]) for phase in phases).split("+"):
            if flag in SPOILT_WINDOW:
                spoilt[flag].add(cell)
    for flag, names in spoilt.items():
        text = f"{SPOILT_WINDOW[flag]} in charged phases of {named(sorted(names))}"
        yield Finding("unstable", flag, text, f"python -m harness.doctor examines it; {AGAIN}")


def _errors(run: RunFiles) -> Iterator[Finding]:
    """Few samples in one short phase do no harm; a wide bound on the whole cell does."""
    shares = {
        str(row["cell"]): row["energy_error_j"] / abs(row["energy_j"])
        for row in run.done
        if row["energy_j"] and row["energy_error_j"] is not None and math.isfinite(row["energy_j"])
    }
    wide = [cell for cell, share in shares.items() if share > ERROR_LIMIT]
    if wide:
        sampled = any(r["energy_kind"] != "counter" for r in run.done if str(r["cell"]) in wide)
        text = (
            f"the bound on the error of energy_j{OF_SAMPLES if sampled else ''} is up to"
            f" {100 * max(shares.values()):.1f} % of it, above {100 * ERROR_LIMIT:g} % in"
            f" {named(wide)}"
        )
        rate = "--rate" if run.is_measured else "--rate-hz"
        remedy = f"Use a meter that is read more often ({rate}), or {_longer(run)}."
        yield Finding("unstable", "energy-error", text, remedy)


def _longer(run: RunFiles) -> str:
    """Return what makes cells take longer, by an option that the run has."""
    own = (name for name in LENGTHS if name in run.section("config"))
    return next((f"more --{name}" for name in own), "measure something that takes longer")


def _cell_flags(run: RunFiles) -> Iterator[Finding]:
    flagged: dict[str, list[str]] = defaultdict(list)
    for row in run.done:
        for flag in filter(None, str(row["flags"]).split("+")):
            flagged[flag].append(str(row["cell"]))
    for flag, cells in flagged.items():
        level, meaning, remedy = flag_meaning(flag)
        if "batch_size" not in run.section("config"):
            remedy = remedy.replace(OR_SMALLER, "")
        text = f"{flag}: {meaning}, in {len(cells)} of {len(run.done)} cells ({named(cells)})"
        yield Finding(level, flag, text, remedy)


def _shared(run: RunFiles) -> Iterator[Finding]:
    """A measurement that stands in several bills is one measurement all the same."""
    sharing = [str(row["cell"]) for row in run.done if row["shared_jobs"]]
    if sharing:
        text = (
            f"{len(sharing)} of {len(run.done)} cells are charged for jobs measured in another cell"
            f" ({named(sharing)}), so their time and energy are not measured independently"
        )
        yield Finding("limit", "shared", text, "Run without --share-jobs.")


def _idle(run: RunFiles) -> Iterator[Finding]:
    """Compare idle power before and after, session by session."""
    for number, idle in enumerate(run.idles, 1):
        before, after = idle.get("before_w"), idle.get("after_w")
        if not isinstance(before, float) or before <= 0.0:
            continue
        if not isinstance(after, float):
            text = f"idle power was not measured after session {number}, so net energy has no error"
            yield Finding("limit", "idle", text, "Let the run end by itself.")
        elif abs(after - before) > IDLE_DRIFT_LIMIT * before:
            text = (
                f"idle power drifted from {before:.3g} W to {after:.3g} W in session {number};"
                f" the limit is {100 * IDLE_DRIFT_LIMIT:g} %"
            )
            option = "--idle" if run.is_measured else "--idle-s"
            remedy = f"Let the board settle before the run, raise {option}, {AGAIN}"
            yield Finding("unstable", "idle-drift", text, remedy)
