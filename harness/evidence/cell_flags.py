"""Say of every flag of a cell how bad it is, what it means and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from harness.evidence.findings import Level

SPOILT_WINDOW = {
    "gap": "samples are missing",
    "reset": "the counter began anew",
    "partial": "samples do not reach from end to end",
    "impossible": "readings show power that this device cannot draw",
}
"""Flag of phases.csv → what it says; a counter that merely wrapped is still exact."""

AGAIN = "then run the same command with --fresh."
OR_SMALLER = " or lower --batch-size"
"""What helps too where a run has such an option."""

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
        "unstable", "memory was swapped to disk", f"Free memory{OR_SMALLER}, {AGAIN}",
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
    "gpu-hw-thermal-slowdown": (
        "unstable", "the GPU was so hot that its hardware cut its clock to half or less",
        f"Cool the card (fans, air, a lower limit: nvidia-smi -pl), {AGAIN}",
    ),
    "gpu-sw-thermal-slowdown": (
        "unstable", "the driver lowered the GPU's clock to keep it or its memory cool",
        f"Cool the card (fans, air, a lower limit: nvidia-smi -pl), {AGAIN}",
    ),
    "gpu-thermal-slowdown": (
        "unstable", "the GPU's clock was lowered because of heat, by the driver's count",
        f"Cool the card (fans, air, a lower limit: nvidia-smi -pl), {AGAIN}",
    ),
    "gpu-power-brake": (
        "unstable", "the computer's supply made the GPU cut its clock to half or less",
        f"Use a stronger supply, check its cables, {AGAIN}",
    ),
    "gpu-hw-slowdown": (
        "unstable", "the GPU's hardware cut its clock to half or less (heat or supply)",
        f"nvidia-smi -q -d PERFORMANCE,TEMPERATURE shows more; mend the cause, {AGAIN}",
    ),
    "gpu-power-cap": (
        "note", "the GPU worked at its power limit, which sets its clock; another limit gives"
        " other figures (nvidia-smi -q -d POWER shows it)", "",
    ),
    "gpu-memory-errors": (
        "unstable", "the GPU's memory had errors that could not be corrected",
        f"Reset the card (sudo nvidia-smi -r, or restart), {AGAIN}",
    ),
    "gpu-reset-due": (
        "note", "faulty memory of the GPU is taken out of use at its next reset"
        " (sudo nvidia-smi -r, or restart)", "",
    ),
    "gpu-lost": (
        "unstable", "the GPU no longer answered", f"Look at dmesg for NVRM, restart, {AGAIN}",
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


def flag_meaning(flag: str) -> tuple[Level, str, str]:
    """Return how bad a flag of a cell is, what it means, and what to do."""
    if flag in FLAGS:
        return FLAGS[flag]
    if flag in SPOILT_WINDOW:
        return "unstable", SPOILT_WINDOW[flag], f"python -m harness.doctor examines it; {AGAIN}"
    if flag.startswith("gpu-xid-"):
        number = flag.removeprefix("gpu-xid-")
        remedy = f"Look it up in NVIDIA's catalogue of Xid errors and in dmesg, {AGAIN}"
        return "unstable", f"the driver reported Xid error {number} of the GPU", remedy
    if flag.startswith("maybe-"):
        what = flag.removeprefix("maybe-")
        remedy = "Start the board anew before the run, so that a new event shows."
        return "limit", f"{what} had happened before, so a new one would not show", remedy
    return "unstable", "the board reported it", f"Mend the cause, {AGAIN}"
