"""Read what slows an NVIDIA card down, how warm it is, and what its memory has suffered.

Why the clock is held back NVML tells as bits of this moment, and as time that it has counted since
the driver was loaded. Newer bindings speak of "event reasons", older ones and older drivers of
"throttle reasons"; the bits are the same (NVML API reference, NvmlClocksEventReasons). What a
driver does not tell is None, never 0: laptops, virtual GPUs and Jetson's integrated GPU answer few
of these queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType

from devices.meters.nvml_devices import as_text, is_lost, number, query

IDLE = 0x1
HW_SLOWDOWN = 0x8
REASONS = {
    0x40: "hw-thermal-slowdown", 0x20: "sw-thermal-slowdown", 0x80: "power-brake",
    HW_SLOWDOWN: "hw-slowdown", 0x4: "power-cap",
}  # fmt: skip
"""Bit → what holds the clock back. Idle, clocks that were set, and limits that a card keeps to by
design at its highest clock are none of these."""

_REASON_QUERIES = (
    "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons",
)  # fmt: skip

VIOLATIONS = {0: "power-cap", 1: "thermal-slowdown"}
"""NVML_PERF_POLICY_POWER and _THERMAL → reason; the latter does not say which kind of heat.

Newer drivers count each reason in a field of its own, but the numbers of these fields have changed
between releases (251 to 253, then 269 to 271), so that a binding that does not fit the driver would
read something else.
"""

LEAST_NS = 1_000_000
"""A growth of less than 1 ms slowed nothing down that anyone could measure."""

_SHUTDOWN, _SLOWDOWN = 0, 1
_UNCORRECTED, _SINCE_LOADED = 1, 0
HOTTEST_C = 150.0

RESET_DUE = "reset-due"
LOST = "lost"
MEMORY_ERRORS = "memory-errors"


@dataclass(frozen=True)
class CardState:
    """Hold one look at a card; None for what its driver does not tell.

    Attributes:
        uuid: The card's own name, `GPU-…`.
        model: Product name.
        reasons: What holds its clock back now.
        slowed_ns: Reason → nanoseconds for which it has done so since the driver was loaded.
        temperature_c: Temperature of the GPU in °C.
        slows_at_c: Temperature in °C at which the hardware slows it down.
        stops_at_c: Temperature in °C at which it shuts itself off.
        memory_errors: Errors of its memory since the driver was loaded that ECC could not correct.
        reset_due: Whether faulty memory is taken out of use at its next reset.
        remap_failed: Whether faulty memory could not be taken out of use.
        lost: Whether it no longer answers.
    """

    uuid: str = ""
    model: str = ""
    reasons: tuple[str, ...] | None = None
    slowed_ns: Mapping[str, int] = field(default_factory=dict)
    temperature_c: float | None = None
    slows_at_c: float | None = None
    stops_at_c: float | None = None
    memory_errors: int | None = None
    reset_due: bool | None = None
    remap_failed: bool | None = None
    lost: bool = False


def read_card(nvml: ModuleType, handle: object) -> CardState:
    """Ask a card for everything once."""
    uuid, _ = query(nvml, "nvmlDeviceGetUUID", handle)
    model, _ = query(nvml, "nvmlDeviceGetName", handle)
    errors, _ = query(nvml, "nvmlDeviceGetTotalEccErrors", handle, _UNCORRECTED, _SINCE_LOADED)
    count = number(errors)
    reset_due, remap_failed = _repairs(nvml, handle)
    reasons, refusal = read_reasons(nvml, handle)
    return CardState(
        uuid="" if uuid is None else as_text(uuid),
        model="" if model is None else as_text(model),
        reasons=reasons,
        slowed_ns=_slowed_ns(nvml, handle),
        temperature_c=read_temperature_c(nvml, handle),
        slows_at_c=_threshold_c(nvml, handle, _SLOWDOWN),
        stops_at_c=_threshold_c(nvml, handle, _SHUTDOWN),
        memory_errors=None if count is None else int(count),
        reset_due=reset_due,
        remap_failed=remap_failed,
        lost=is_lost(refusal),
    )


def read_reasons(nvml: ModuleType, handle: object) -> tuple[tuple[str, ...] | None, str]:
    """Return what holds the clock back now, and what NVML said if it does not tell."""
    refusals = []
    for name in _REASON_QUERIES:
        answer, refusal = query(nvml, name, handle)
        bits = number(answer)
        if bits is not None:
            return reasons_of(int(bits)), ""
        refusals.append(refusal)
    return None, next((text for text in refusals if is_lost(text)), refusals[-1])


def read_temperature_c(nvml: ModuleType, handle: object) -> float | None:
    """Return the temperature of the GPU in °C; None if the driver does not tell."""
    return _celsius(query(nvml, "nvmlDeviceGetTemperature", handle, 0)[0])


def reasons_of(bits: int) -> tuple[str, ...]:
    """Return the reasons that bits stand for.

    The general bit of a hardware slowdown says nothing beside one that names its cause, and is also
    set while an idle card changes its clock.
    """
    named = bits & (0x40 | 0x80 | IDLE)
    return tuple(
        word for bit, word in REASONS.items() if bits & bit and not (bit == HW_SLOWDOWN and named)
    )


def card_changes(before: CardState, after: CardState) -> Iterator[str]:
    """Name what happened to a card between two looks, and what holds its clock back in them.

    Yields:
        Words of `REASONS`; `thermal-slowdown` where only time in heat of unknown kind was counted;
        `memory-errors`, `reset-due`, `lost`.
    """
    if after.lost:
        yield LOST
    acting = {*(before.reasons or ()), *(after.reasons or ())}
    counted = {
        word
        for word in before.slowed_ns.keys() & after.slowed_ns.keys()
        if after.slowed_ns[word] - before.slowed_ns[word] >= LEAST_NS
    }
    yield from without_general({*acting, *counted})
    old, new = before.memory_errors, after.memory_errors
    if old is not None and new is not None and new > old:
        yield MEMORY_ERRORS
    if after.reset_due:
        yield RESET_DUE


def without_general(reasons: set[str]) -> list[str]:
    """Return reasons in order, without heat of unknown kind where its kind is known."""
    kinds = {"hw-thermal-slowdown", "sw-thermal-slowdown"}
    return sorted(reasons - ({"thermal-slowdown"} if reasons & kinds else set()))


def _slowed_ns(nvml: ModuleType, handle: object) -> dict[str, int]:
    found: dict[str, int] = {}
    for policy, word in VIOLATIONS.items():
        answer, _ = query(nvml, "nvmlDeviceGetViolationStatus", handle, policy)
        count = number(getattr(answer, "violationTime", None))
        if count is not None:
            found[word] = int(count)
    return found


def _repairs(nvml: ModuleType, handle: object) -> tuple[bool | None, bool | None]:
    """Return whether a reset would take faulty memory out of use, and whether that has failed.

    Ampere and newer remap rows; older cards retire pages.
    """
    rows, _ = query(nvml, "nvmlDeviceGetRemappedRows", handle)
    if isinstance(rows, list | tuple) and len(rows) == 4:
        return bool(rows[2]), bool(rows[3])
    pages = number(query(nvml, "nvmlDeviceGetRetiredPagesPendingStatus", handle)[0])
    return None if pages is None else pages == 1, None


def _threshold_c(nvml: ModuleType, handle: object, which: int) -> float | None:
    return _celsius(query(nvml, "nvmlDeviceGetTemperatureThreshold", handle, which)[0])


def _celsius(value: object) -> float | None:
    """Return a temperature; None for 0, which no GPU that computes has, and for nonsense."""
    found = number(value)
    return found if found is not None and 0.0 < found <= HOTTEST_C else None
