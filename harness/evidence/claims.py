"""Find what a run cannot be quoted for, however well it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from harness.evidence.cell_flags import AGAIN
from harness.evidence.findings import Finding
from harness.evidence.reading import RunFiles
from harness.evidence.sensors import NO_SENSOR, pretended
from harness.evidence.yardstick import yardstick

PAIRS_FOR_A_TEST = 6
"""With n pairs no two-sided sign-flip test gets below 2 / 2**n, which is under 5 % from six on."""


def claims(run: RunFiles) -> Iterator[Finding]:
    """Yield what limits the claims that the run can carry."""
    yield from _quick(run)
    yield from _device(run)
    yield from _clocks(run)
    yield from _energy(run)
    yield from _turns(run) if run.is_measured else _seeds(run)
    yield from _repeats(run)
    yield from _making(run)


def smallest_p(pairs: int) -> float:
    """Return the smallest two-sided p that the paired sign-flip test can give: 2 / 2**n."""
    return float(2.0 ** (1 - pairs))


def _quick(run: RunFiles) -> Iterator[Finding]:
    if run.manifest.get("quick") is True:
        text = "a quick run: tiny data, not for publication"
        yield Finding("unstable", "quick", text, "Run without --quick.")


def _device(run: RunFiles) -> Iterator[Finding]:
    device, host = run.section("device"), run.section("host")
    if device and host and host.get("matches_device") is not True:
        text = (
            f"the host ({host.get('description') or 'unknown'}) is not"
            f" {device.get('title') or device.get('name')}: losses are real, its time and energy"
            " are modelled"
        )
        remedy = "Run on that device; --require-device refuses any other."
        yield Finding("limit", "host-not-device", text, remedy)


def _clocks(run: RunFiles) -> Iterator[Finding]:
    """Yield that clocks may have moved, where joules and seconds of the device itself are told."""
    host = run.section("host")
    if host.get("clocks_pinned") is not False or host.get("matches_device") is False:
        return
    named_so = {"power mode": host.get("power_mode"), "governor": host.get("governor")}
    state = ", ".join(f"{name} {value}" for name, value in named_so.items() if value)
    text = "clocks were not pinned" + (f" ({state})" if state else "")
    remedy = f"python -m harness.doctor says how to pin them; {AGAIN}"
    yield Finding("limit", "clocks-not-pinned", text, remedy)


def _energy(run: RunFiles) -> Iterator[Finding]:
    meter = run.section("meter")
    measured = any(row["energy_j"] is not None for row in run.done)
    if not measured and run.done:
        reason = run.manifest.get("meter_reason") or "no valid measurement"
        modelled = any(row["energy_model_j"] is not None for row in run.done)
        what = "energy is modelled only, none was measured" if modelled else "there is no energy"
        remedy = "python -m harness.doctor says how to measure; --require-meter insists on it."
        yield Finding("limit", "modelled-only", f"{what}: {reason}", remedy)
    name = str(meter.get("meter") or meter.get("name") or "")
    if measured and pretended(name):
        text = f"the meter {name} {NO_SENSOR}"
        yield Finding("limit", "no-sensor", text, "Use a meter that reads the board.")


def _seeds(run: RunFiles) -> Iterator[Finding]:
    """Say what can be claimed with so many paired seeds."""
    seeds: dict[str, set[int]] = {}
    for row in run.done:
        seeds.setdefault(str(row["method"]), set()).add(int(row["seed"]))
    if not seeds:
        return
    reference = yardstick(run.manifest).reference
    if reference and reference not in seeds:
        text = f"there is no finished {reference} cell to compare methods with"
        yield Finding("limit", "no-reference", text, f"Add {reference} to --methods.")
    fewest = min(len(own & seeds.get(reference, own)) for own in seeds.values())
    remedy = f"Use at least {PAIRS_FOR_A_TEST} seeds: --seeds 0-{PAIRS_FOR_A_TEST - 1}"
    yield from _pairs(fewest, "seed", remedy)


def _turns(run: RunFiles) -> Iterator[Finding]:
    """Say what can be claimed of commands that were measured by turns."""
    counts = Counter(str(row["method"]) for row in run.done)
    if len(counts) > 1:
        yield from _pairs(
            min(counts.values()), "turn", f"Measure again: --repeat {PAIRS_FOR_A_TEST}"
        )


def _pairs(count: int, noun: str, remedy: str) -> Iterator[Finding]:
    if count >= PAIRS_FOR_A_TEST:
        return
    if count < 2:
        text = f"n = {count} paired {noun}: no interval can be given, a difference may be chance"
    else:
        text = (
            f"n = {count} paired {noun}s: intervals yes, but no honest test can say 'significant'"
            f" (the smallest possible p is {smallest_p(count):.3g})"
        )
    yield Finding("limit", "few-seeds", text, remedy)


def _repeats(run: RunFiles) -> Iterator[Finding]:
    if run.section("config").get("repeats") == 1 and run.done:
        each, option = ("it", "--repeat") if run.is_measured else ("every seed", "--repeats")
        text = f"{each} was measured once, so the spread of the measurement is not known"
        yield Finding("limit", "no-repeats", text, f"Measure again: {option} 3")


def _making(run: RunFiles) -> Iterator[Finding]:
    config = run.section("config")
    if config.get("order") == "fixed" and len(config.get("methods") or ()) > 1:
        text = "methods always ran in the same order, so warming up may favour one"
        yield Finding("limit", "fixed-order", text, "Leave --order at random.")
    source = run.section("source")
    if source.get("dirty"):
        text = f"the source differed from commit {str(source.get('commit'))[:12]} when it ran"
        yield Finding("limit", "changed-source", text, "Commit first, then run.")
    elif not source.get("commit"):
        text = "the commit of the source is not known"
        yield Finding("note", "unknown-source", text, "Run from a git checkout.")
