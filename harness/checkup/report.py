"""Put a checkup into words for people and into one JSON object for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from devices.card_state import LEAST_NS, CardState
from devices.inspection import MeterReport
from harness.checkup.readiness import Checkup

WIDTH = 80
"""Columns that text is wrapped at; remedies are not, as they are there to be copied."""

_VERDICTS = {
    "ready": "Ready",
    "modelled": "Ready with modelled energy only",
    "not-ready": "Not ready",
}


def as_dict(check: Checkup) -> dict[str, Any]:
    """Return what `--json` prints; what is not known is null, a figure not measured is absent."""
    profile = check.profile
    verdict = check.verdict()
    return {
        "device": profile.name if profile else None,
        "ready": verdict != "not-ready",
        "verdict": verdict,
        "energy": "measured" if check.measures else "modelled",
        "host": _host(check),
        "meters": [meter.to_dict() for meter in check.meters],
        "preferred_meters": list(profile.meters) if profile else [],
        "limits": list(profile.limits) if profile else [],
        "accelerator": _accelerator(check),
        "cards": [_card(card) for card in check.cards],
        "container": dict(check.container),
        "fixes": [{"what": f.what, "do": f.do, "blocks": f.blocks} for f in check.fixes()],
    }


def _accelerator(check: Checkup) -> dict[str, Any] | None:
    """Return what CUDA can do here; None if it was not tried."""
    probe = check.cuda
    if probe is None:
        return None
    card = probe.gpu
    return {
        "kind": "gpu" if card else "cpu",
        "gpu": card.name if card else None,
        "uuid": card.uuid if card else None,
        "fault": probe.fault or None,
        "fix": probe.fix or None,
    }


def _host(check: Checkup) -> dict[str, Any]:
    host, board, facts = check.host, check.board, check.facts
    mode, clocks = board.power_mode, board.clocks
    return {
        "arch": host.arch,
        "model": host.model,
        "cpu_model": host.cpu_model,
        "cores_online": host.cores_online,
        "cores_usable": host.cores_usable,
        "memory_bytes": host.memory_bytes,
        "kernel": host.kernel,
        "virtual": host.virtual,
        "virtual_reason": host.virtual_reason,
        "gpus": list(host.gpus),
        "l4t": board.l4t,
        "jetpack": board.jetpack,
        "python": facts.python,
        "packages": facts.packages,
        "power_mode": {"name": mode.name, "number": mode.number} if mode else None,
        "clocks_pinned": clocks.pinned if clocks else None,
        "governor": host.state.governor,
        "temperature_c": host.state.temperature_c,
        "throttled_now": list(board.throttled_now),
        "throttled_since_start": list(board.throttled_before),
        "throttle_counters": host.state.throttle_counters,
        "disk_free_bytes": facts.disk_free_bytes,
        "clock_set": facts.wall_clock_set,
        "clock_step_s": facts.clock_step_s,
    }


def as_text(check: Checkup) -> str:
    """Return the report for people; its last line is the verdict."""
    profile = check.profile
    device = f"{profile.name}: {profile.title}" if profile else "none that is known"
    lines = [
        *_wrapped("Device  ", device),
        *_wrapped("Host    ", _host_line(check)),
        *_wrapped("System  ", _system_line(check)),
        *_wrapped("State   ", _state_line(check)),
        *_wrapped("Trains  ", _trains_line(check)),
        *(line for card in check.cards for line in _wrapped("Card    ", _card_line(card))),
        "Meters",
        *(line for meter in check.meters for line in _meter_lines(meter)),
    ]
    if profile and profile.limits:
        lines.append("Limits")
        lines += (line for limit in profile.limits for line in _wrapped("  - ", limit))
    fixes = check.fixes()
    if fixes:
        lines.append("To do")
    for number, fix in enumerate(fixes, 1):
        needed = " (needed)" if fix.blocks else ""
        lines += [*_wrapped(f"  {number}. ", fix.what + needed), f"     {fix.do}"]
    lines += _container_lines(check)
    return "\n".join([*lines, _VERDICTS[check.verdict()]])


def _container_lines(check: Checkup) -> Iterator[str]:
    """Say with one line what starts a container that sees everything, unless this one does."""
    if check.measures and not check.host.hidden:
        return
    for board, line in check.container.items():
        yield from _wrapped("Container  ", f"started like this it sees the sensors of: {board}")
        yield f"  {line}"


def _wrapped(head: str, text: str) -> list[str]:
    """Return a text in lines below its head; a word longer than a line stays whole."""
    return textwrap.wrap(
        head + text, WIDTH, subsequent_indent=" " * len(head), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _host_line(check: Checkup) -> str:
    host = check.host
    parts = [host.model or host.cpu_model or "unknown model", host.arch]
    parts.append(f"{host.cores_usable} cores")
    if host.memory_bytes is not None:
        parts.append(f"{host.memory_bytes / 2**30:.1f} GiB")
    if host.virtual:
        parts.append("virtual machine" if host.virtual == "vm" else "container")
    parts += [f"{vendor.upper()} GPU" for vendor in host.gpus]
    return ", ".join(parts)


def _system_line(check: Checkup) -> str:
    host, board, facts = check.host, check.board, check.facts
    parts = [f"Linux {host.kernel}" if host.kernel else "kernel unknown"]
    if board.l4t:
        parts.append(f"L4T {board.l4t} (JetPack {board.jetpack or 'unknown'})")
    if facts.python:
        parts.append(f"Python {facts.python}")
    for name, version in (facts.packages or {}).items():
        if name == "torch":
            parts.append(f"torch {version}" if version else "no torch")
    return ", ".join(parts)


def _state_line(check: Checkup) -> str:
    return ", ".join([*_set_up_words(check), *_health_words(check)]) or "unknown"


def _trains_line(check: Checkup) -> str:
    """Say on what a run would train here, and what else the device has."""
    gpu = check.profile.gpu if check.profile else None
    if gpu is None:
        return "on the processor: no GPU of NVIDIA is known here"
    if check.cuda is None:
        return f"on the GPU ({gpu.name}) if CUDA computes, which was not tried"
    if check.cuda.gpu is None:
        return f"on the processor: the GPU cannot train ({check.cuda.fault})"
    found = check.cuda.gpu
    return f"on the GPU: {found.name}, CUDA {found.cuda}; a convolution came out right"


def _card(card: CardState) -> dict[str, Any]:
    """Return what the driver says of a card; null for what it does not tell."""
    return {
        "uuid": card.uuid,
        "name": card.model,
        "temperature_c": card.temperature_c,
        "slows_down_at_c": card.slows_at_c,
        "shuts_off_at_c": card.stops_at_c,
        "slowed_now": None if card.reasons is None else list(card.reasons),
        "slowed_s": {reason: count * 1e-9 for reason, count in card.slowed_ns.items()},
        "uncorrected_memory_errors": card.memory_errors,
        "reset_due": card.reset_due,
        "remap_failed": card.remap_failed,
    }


def _card_line(card: CardState) -> str:
    return f"{card.model} ({card.uuid}): {', '.join(_card_words(card))}"


def _card_words(card: CardState) -> Iterator[str]:
    """Say how warm a card is and what holds it back, and what its driver does not tell."""
    if card.temperature_c is None:
        yield "temperature not told"
    else:
        limits = [
            f"{what} at {limit_c:.0f} °C"
            for what, limit_c in (("slows down", card.slows_at_c), ("shuts off", card.stops_at_c))
            if limit_c is not None
        ]
        yield f"{card.temperature_c:.0f} °C" + (f" ({', '.join(limits)})" if limits else "")
    if card.reasons is None:
        yield "what slows it down is not told"
    else:
        yield f"slowed down: {', '.join(card.reasons).replace('-', ' ') or 'not now'}"
    for reason, count in card.slowed_ns.items():
        if count < LEAST_NS:
            continue
        yield f"{reason.replace('-', ' ')} {count * 1e-9:.1f} s since its driver was loaded"
    if card.memory_errors is not None:
        yield f"{card.memory_errors} uncorrected memory errors"


def _set_up_words(check: Checkup) -> Iterator[str]:
    mode, clocks = check.board.power_mode, check.board.clocks
    if mode:
        number = "" if mode.number is None else f" ({mode.number})"
        yield f"power mode {mode.name or 'without name'}{number}"
    if clocks:
        yield f"clocks {'pinned' if clocks.pinned else 'not pinned'}"
    if check.host.state.governor:
        yield f"governor {check.host.state.governor}"


def _health_words(check: Checkup) -> Iterator[str]:
    facts, board = check.facts, check.board
    if check.host.state.temperature_c is not None:
        yield f"{check.host.state.temperature_c:.1f} °C"
    if board.throttled_now or board.throttled_before:
        now = ", ".join(board.throttled_now) or "not now"
        before = ", ".join(board.throttled_before) or "nothing"
        yield f"slowed down: {now} (since start: {before})"
    for name, count in check.host.state.throttle_counters.items():
        yield f"{name} {count}"
    if facts.disk_free_bytes is not None:
        yield f"{facts.disk_free_bytes / 1e9:.1f} GB free"
    if facts.clock_step_s is not None:
        yield f"clock step {facts.clock_step_s:.3f} s"


def _meter_lines(meter: MeterReport) -> Iterator[str]:
    if not meter.usable:
        yield from _wrapped(f"  {meter.name:<11} ", f"no: {meter.reason}")
        if meter.fix:
            yield f"  {'':<11} {meter.fix}"
    else:
        yield from _wrapped(f"  {meter.name:<11} ", f"yes: {_figures(meter)}")
    if meter.info is None:
        return
    unit = "J" if meter.info.kind == "counter" else "W"
    for rail, value in zip(meter.info.rails, meter.values, strict=True):
        shown = "no reading" if value is None else f"{value:.3f} {unit}"
        witness = " (witness)" if rail.role == "witness" else ""
        yield f"  {'':<11}   {rail.name} {shown}{witness}"
    for rejected in meter.info.rejected:
        yield from _wrapped(f"  {'':<11}   ", f"left out: {rejected.name}: {rejected.reason}")
    for note in meter.info.notes:
        yield from _wrapped(f"  {'':<11}   ", f"note: {note}")


def _figures(meter: MeterReport) -> str:
    parts = [f"{meter.power_w:.3f} W now" if meter.power_w is not None else ""]
    if meter.energy_j is not None:
        parts.append(f"counter at {meter.energy_j:.3f} J")
    if not meter.measures:
        parts.append("no total is known for this board")
    if meter.info:
        parts.append(f"scope: {meter.info.scope}")
    if meter.rate_hz is not None:
        parts.append(f"{meter.rate_hz:.3g} readings/s")
    return ", ".join(filter(None, parts))
