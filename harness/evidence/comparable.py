"""Name the facts that two runs must share before their figures say anything about each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.evidence.reading import RunFiles
from models.execution import PLAIN

FREE_CONFIG = {
    "methods", "seeds", "repeats", "out", "cache", "device", "meter", "require_device",
    "require_meter", "step", "accelerator",
}  # fmt: skip
"""What is compared, where files lie, how often it was measured; device, meter, what trains and the
way steps are executed count as found."""

NOTED_HOST = ("kernel", "system", "l4t", "jetpack", "board_hash")
PASSING_HOST = {"description", "matches_device", "temperature_c", "fan_pwm", *NOTED_HOST}
"""What says the same in other words, or changes from run to run without changing the host."""

METER = ("name", "kind", "scope")
NOTED = ("source", "software")
UNKNOWN = "not recorded"
MOST_SHOWN = 40


@dataclass(frozen=True)
class Difference:
    """Hold one fact in which two runs differ, in the words of each."""

    fact: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.fact}: {_short(self.first)} → {_short(self.second)}"


def differences(first: RunFiles, second: RunFiles) -> list[Difference]:
    """Return the facts that forbid a comparison."""
    return _different(facts(first), facts(second))


def remarks(first: RunFiles, second: RunFiles) -> list[Difference]:
    """Return differences of source and software: they are often the very thing compared."""
    return _different(_noted(first), _noted(second))


def facts(run: RunFiles) -> dict[str, str]:
    """Return what must be the same, as text by name.

    Every fact of the host counts that is not known to pass, so that one recorded by a later version
    (a power mode, say) counts too.
    """
    host, data, meter = run.section("host"), run.section("data"), run.section("meter")
    found = {
        "device": _text(run.section("device").get("name")),
        "host is the device": _text(host.get("matches_device")),
        "training threads": _text(run.manifest.get("threads")),
        "batch size": _text(_batch_size(run)),
        "training step": _text(run.section("step").get("execution") or PLAIN.text),
        "trained by": _text(run.section("accelerator").get("gpu") or "the processor"),
        "quick run": _text(run.manifest.get("quick")),
        "data checksum": _text(data.get("checksum")),
    }
    found |= {f"host {k}": _text(v) for k, v in _pairs(host) if k not in PASSING_HOST}
    found |= {f"meter {k}": _text(meter.get(k)) if meter else "none" for k in METER}
    config = run.section("config")
    return found | {f"config {k}": _text(v) for k, v in config.items() if k not in FREE_CONFIG}


def _pairs(host: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the facts of a host, those of a table within it one by one."""
    for key, value in host.items():
        if isinstance(value, Mapping):
            yield from ((f"{key} {inner}", each) for inner, each in value.items())
        else:
            yield key, value


def _batch_size(run: RunFiles) -> object:
    """Return the images of a step as trained, which memory may have lowered."""
    fit = run.section("step").get("batch") or {}
    return fit.get("taken", run.section("config").get("batch_size"))


def model_facts(run: RunFiles) -> dict[str, str]:
    """Return what modelled figures rest on beside the work."""
    pairs = [*_flat("energy_model", run.section("energy_model"))]
    return dict([*pairs, *_flat("time_model", run.section("time_model"))])


def model_differences(first: RunFiles, second: RunFiles) -> list[Difference]:
    """Return the facts that forbid comparing modelled figures."""
    return _different(model_facts(first), model_facts(second))


def _noted(run: RunFiles) -> dict[str, str]:
    pairs = [pair for name in NOTED for pair in _flat(name, run.section(name))]
    host = run.section("host")
    return dict([*pairs, *((f"host {name}", _text(host.get(name))) for name in NOTED_HOST)])


def _flat(name: str, section: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from ((f"{name} {key}", _text(value)) for key, value in section.items())


def _different(first: Mapping[str, str], second: Mapping[str, str]) -> list[Difference]:
    pairs = (
        (k, first.get(k, UNKNOWN), second.get(k, UNKNOWN)) for k in dict.fromkeys([*first, *second])
    )
    return [Difference(key, one, other) for key, one, other in pairs if one != other]


def _short(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _text(value: object) -> str:
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
