"""Find what makes figures doubtful: spread, gaps, drift, what happened to the board."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.core.schema import COST_PHASES, sessions_of
from harness.evidence.findings import Finding, Level, named
from harness.evidence.reading import RunFiles

SPREAD_LIMIT = 0.05
"""Coefficient of variation over repeats above which a figure is called unstable (our choice)."""

IDLE_DRIFT_LIMIT = 0.1
"""Change of idle power from before to after, over the power before, that is called drift."""

ERROR_LIMIT = 0.05
"""Share of energy_j that the bound on its error may reach."""

SPOILT_WINDOW = {
    "gap": "samples are missing",
    "reset": "the counter began anew",
    "partial": "samples do not reach from end to end",
    "impossible": "readings show power that this device cannot draw",
}
"""Flag of phases.csv → what it says; a counter that merely wrapped is still exact."""

AGAIN = "then run the same command with --fresh."

FLAGS: Mapping[str, tuple[Level, str, str]] = {
    "resumed": ("note", "broken off and gone on with; broken-off rounds were measured anew", ""),
    "warm-start": (
        "unstable", "began warmer or at a higher power than the first cell",
        f"Raise --cool-down, {AGAIN}",
    ),
    "throttled": ("unstable", "the board throttled itself", f"Cool the board, {AGAIN}"),
    "under-voltage": (
        "unstable", "the supply voltage was too low", f"Use a stronger supply and cable, {AGAIN}",
    ),
    "over-current": ("unstable", "the board drew too much current", f"Mend the supply, {AGAIN}"),
    "swapped": (
        "unstable", "memory was swapped to disk", f"Free memory or lower --batch-size, {AGAIN}",
    ),
    "foreign-load": (
        "unstable", "other programs took processor time", f"Stop other programs, {AGAIN}",
    ),
    "stolen-time": (
        "unstable", "the hypervisor gave processor time to others",
        f"Use a host of your own, {AGAIN}",
    ),
    "slept": ("unstable", "the host slept", f"Switch off suspend, {AGAIN}"),
    "paused": (
        "unstable", "the process was stopped for a while, which is charged",
        f"Let it run without a stop, {AGAIN}",
    ),
    "few-samples": (
        "unstable", "rests on few readings of the meter",
        "Measure for longer, or read it more often.",
    ),
    "unsteady": (
        "unstable", "power swings faster than the meter is read",
        "Read it more often, or use a counter.",
    ),
    "wrap": ("note", "the counter wrapped, which is counted", ""),
    "clock-step": ("note", "the wall clock was set; durations are safe, dates may be wrong", ""),
    "power-mode-changed": (
        "unstable", "the power mode was changed", f"Pin it (sudo nvpmodel -m N), {AGAIN}",
    ),
    "governor-changed": (
        "unstable", "the clock governor was changed",
        f"Pin it (sudo cpupower frequency-set -g performance), {AGAIN}",
    ),
    "clocks-changed": (
        "unstable", "clock limits were changed", f"Pin them (sudo jetson_clocks), {AGAIN}",
    ),
    "clock-limit-lowered": (
        "unstable", "the system lowered the clock limit", f"Cool the board, {AGAIN}",
    ),
    "late-device": (
        "note", "an answer of a device came too late and was not averaged; its joules count", "",
    ),
    "missing-device": (
        "note", "a device did not take part in a round", "",
    ),
    "refused-device": (
        "unstable", "an answer of a device could not be used", f"See devices.csv, {AGAIN}",
    ),
    "refused-figure": (
        "unstable", "a device reported a figure that cannot be true; it is left out",
        f"See energy_reason in devices.csv, mend that device's meter, {AGAIN}",
    ),
    "shared-meter": (
        "unstable", "several devices were one machine, whose meter saw the work of all",
        "Give every node a machine of its own; their joules say nothing about a device.",
    ),
}  # fmt: skip
"""Flag of a cell → how bad it is, what it means, what to do; others are taken as they stand."""

OF_A_FLEET = frozenset(
    ("late-device", "missing-device", "refused-device", "refused-figure", "shared-meter")
)
"""Flags that tell of a fleet's answers, not of the conditions in which a cell was measured."""


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
        text = (
            f"{column} spreads over repeats by up to {100 * spreads[method, seed]:.1f} %"
            f" ({method} seed {seed}); the limit is {100 * limit:g} %"
        )
        if not wide:
            yield Finding("note", "spread", text)
            continue
        remedy = "Stop other programs, pin clocks, raise --cool-down; more --repeats average."
        many = f", passed by {wide} of {len(spreads)} method-seed pairs"
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
    for phase in run.phases:
        if phase["cell"] and phase["phase"] in COST_PHASES:
            for flag in str(phase["flags"]).split("+"):
                if flag in SPOILT_WINDOW:
                    spoilt[flag].add(str(phase["cell"]))
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
        text = (
            "the bound on the error of energy_j (of sampled power: if no peak lies between two"
            f" of 32 readings or more) is up to {100 * max(shares.values()):.1f} % of it,"
            f" above {100 * ERROR_LIMIT:g} % in {named(wide)}"
        )
        remedy = "Use a meter that is read more often (--rate-hz), or more --rounds."
        yield Finding("unstable", "energy-error", text, remedy)


def _cell_flags(run: RunFiles) -> Iterator[Finding]:
    flagged: dict[str, list[str]] = defaultdict(list)
    for row in run.done:
        for flag in filter(None, str(row["flags"]).split("+")):
            flagged[flag].append(str(row["cell"]))
    for flag, cells in flagged.items():
        level, meaning, remedy = flag_meaning(flag)
        text = f"{flag}: {meaning}, in {len(cells)} of {len(run.done)} cells ({named(cells)})"
        yield Finding(level, flag, text, remedy)


def flag_meaning(flag: str) -> tuple[Level, str, str]:
    """Return how bad a flag of a cell is, what it means, and what to do."""
    if flag in FLAGS:
        return FLAGS[flag]
    if flag in SPOILT_WINDOW:
        return "unstable", SPOILT_WINDOW[flag], f"python -m harness.doctor examines it; {AGAIN}"
    if flag.startswith("maybe-"):
        what = flag.removeprefix("maybe-")
        remedy = "Start the board anew before the run, so that a new event shows."
        return "limit", f"{what} had happened before, so a new one would not show", remedy
    return "unstable", "the board reported it", f"Mend the cause, {AGAIN}"


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
    sessions = sessions_of(run.manifest)
    known = [_own(s) for s in sessions]
    for number, idle in enumerate(known or [run.section("idle")], 1):
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
            remedy = f"Let the board settle before the run, raise --idle-s, {AGAIN}"
            yield Finding("unstable", "idle-drift", text, remedy)


def _own(session: object) -> Mapping[str, Any]:
    idle = session.get("idle") if isinstance(session, dict) else None
    return idle if isinstance(idle, dict) else {}
