"""Name the facts that two runs must share before their figures say anything about each other.

This is the only list of them: `compare` refuses by it, the report pools by it, `check` and `pack`
name by it what keeps several runs apart. Each fact has a rule: it must agree, or agree within a
share, or may differ with a note. What is averaged (pooled) must agree in what may differ too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from models.execution import PLAIN

Manifest = Mapping[str, Any]
Rule = Literal["must agree", "note", "models"]
"""`note`: often the very thing compared. `models`: what modelled figures alone rest on."""

UNKNOWN = "not recorded"
MOST_SHOWN = 40


@dataclass(frozen=True)
class Section:
    """Say how the facts of one object of the manifest count.

    Attributes:
        rule: of every fact that is not named below, so that one recorded by a later version (a
            power mode, say) counts too.
        passing: names that do not count.
        noted: names that may differ with a note.
        tolerances: share of the larger up to which two numbers agree, by name.
        only: names that count, all with ().
    """

    rule: Rule
    passing: frozenset[str] = frozenset()
    noted: frozenset[str] = frozenset()
    tolerances: Mapping[str, float] = field(default_factory=dict)
    only: tuple[str, ...] = ()


SECTIONS: Mapping[str, Section] = {
    "host": Section(
        "must agree",
        # What says the same in other words, or changes from run to run without changing the host.
        passing=frozenset({"description", "matches_device", "temperature_c", "fan_pwm"}),
        noted=frozenset({"kernel", "system", "l4t", "jetpack", "board_hash"}),
        tolerances={"memory_bytes": 0.01},  # what the kernel leaves differs by kilobytes per boot
    ),
    "meter": Section("must agree", only=("name", "kind", "scope")),
    "config": Section(
        "must agree",
        # What is compared, where files lie, how often it was measured; device, meter, what trains
        # and how steps are executed count as found.
        passing=frozenset(
            {"methods", "label", "commands", "seeds", "repeats", "out", "cache", "device",
             "meter", "require_device",
             "require_meter", "step", "accelerator"}
        ),
    ),
    "source": Section("note"),
    "software": Section("note"),
    "energy_model": Section("models"),
    "time_model": Section("models"),
}  # fmt: skip


ACCELERATOR = "accelerator"
FOLLOWS = ("training step", "energy_model ", "time_model ")
"""Facts, by how their names begin, that differ because the accelerator does: where GPU and
processor of one device are compared they forbid nothing, and what models rest on is not listed."""


@dataclass(frozen=True)
class Fact:
    """Hold one fact of a run in words, and how it counts."""

    text: str
    rule: Rule = "must agree"
    tolerance: float = 0.0
    optional: bool = False
    """Whether a run that has no such fact does not differ in it."""


@dataclass(frozen=True)
class Difference:
    """Hold one fact in which two runs differ, in the words of each."""

    fact: str
    first: str
    second: str
    rule: Rule = "must agree"

    def __str__(self) -> str:
        return f"{self.fact}: {_short(self.first)} → {_short(self.second)}"


def differences(first: Manifest, second: Manifest) -> list[Difference]:
    """Return the facts that forbid a comparison of measured figures and losses."""
    return [found for found in apart(first, second) if found.rule == "must agree"]


def remarks(first: Manifest, second: Manifest) -> list[Difference]:
    """Return differences of source and software: they are often the very thing compared."""
    return [found for found in apart(first, second) if found.rule == "note"]


def model_differences(first: Manifest, second: Manifest) -> list[Difference]:
    """Return the facts that forbid comparing modelled figures."""
    return [found for found in apart(first, second) if found.rule == "models"]


def apart(first: Manifest, second: Manifest) -> list[Difference]:
    """Return every fact in which two runs differ; without any they are one series."""
    one, other = facts(first), facts(second)
    found = []
    follows = FOLLOWS if one[ACCELERATOR] != other[ACCELERATOR] else ()
    for name in dict.fromkeys([*one, *other]):
        a, b = one.get(name), other.get(name)
        known = [fact for fact in (a, b) if fact is not None]
        if len(known) == 1 and known[0].optional:
            continue
        rule, tolerance = known[0].rule, known[0].tolerance
        if follows and name.startswith(follows):
            if rule == "models":
                continue
            rule = "note"
        texts = [UNKNOWN if fact is None else fact.text for fact in (a, b)]
        if texts[0] != texts[1] and not _close(texts[0], texts[1], tolerance):
            found.append(Difference(name, texts[0], texts[1], rule))
    return found


def apart_words(runs: Sequence[tuple[str, Manifest]]) -> list[str]:
    """Return a sentence for every run after the first that is not of one series with it."""
    words = []
    for name, manifest in runs[1:]:
        names = [found.fact for found in apart(runs[0][1], manifest)]
        if names:
            words.append(f"{name} is not pooled with {runs[0][0]}: {', '.join(names)} differ.")
    return words


def facts(manifest: Manifest) -> dict[str, Fact]:
    """Return what is known of a run, by name."""
    step, fleet = _section(manifest, "step"), _section(manifest, "fleet")
    found = {
        "device": _section(manifest, "device").get("name"),
        "host is the device": _section(manifest, "host").get("matches_device"),
        "training threads": manifest.get("threads"),
        "batch size": _batch_size(manifest),
        "training step": step.get("execution") or PLAIN.text,
        "quick run": manifest.get("quick"),
        "data checksum": _section(manifest, "data").get("checksum"),
    }
    known = {name: Fact(_text(value)) for name, value in found.items()}
    known[ACCELERATOR] = Fact(accelerator_of(manifest), "note")
    if gpu := _section(manifest, "accelerator").get("gpu"):
        known["GPU"] = Fact(_text(gpu), optional=True)
    if way := _section(step, "data").get("way"):
        known["data to the GPU"] = Fact(_text(way), "note", optional=True)
    if fleet:
        known["devices of the fleet"] = Fact(
            _text(sorted(map(_device, fleet.get("devices") or [])))
        )
    known |= _from_outside(manifest)
    return known | {name: fact for name in SECTIONS for name, fact in _of_section(manifest, name)}


def accelerator_of(manifest: Manifest) -> str:
    """Return `gpu` or `cpu`: what of the device the figures of a run are of.

    Runs of before the two were told apart say it by the card that trained.
    """
    told = _section(manifest, "device").get("accelerator")
    return str(told or ("gpu" if _section(manifest, "accelerator").get("gpu") else "cpu"))


def _from_outside(manifest: Manifest) -> dict[str, Fact]:
    """Return the checksum of each thing that came from outside the program.

    Methods are often the very thing compared, so other ones are noted and forbid nothing.
    """
    return {
        f"{name} from outside": Fact(
            _text(value.get("sha256") if isinstance(value, Mapping) else value),
            "note" if str(name).startswith("method ") else "must agree",
        )
        for name, value in _section(manifest, "extensions").items()
    }


def _of_section(manifest: Manifest, name: str) -> Iterator[tuple[str, Fact]]:
    rules, values = SECTIONS[name], _section(manifest, name)
    if rules.only:
        yield from (
            (f"{name} {key}", Fact(_text(values.get(key)) if values else "none"))
            for key in rules.only
        )
        return
    for key, value in _pairs(values):
        top = key.split(" ")[0]
        if top not in rules.passing:
            rule: Rule = "note" if top in rules.noted else rules.rule
            yield f"{name} {key}", Fact(_text(value), rule, rules.tolerances.get(key, 0.0))


def _pairs(values: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the facts of an object, those of a table within it one by one."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{key} {inner}", each) for inner, each in value.items())
        else:
            yield key, value


def _section(manifest: Manifest, name: str) -> Mapping[str, Any]:
    value = manifest.get(name)
    return value if isinstance(value, Mapping) else {}


def _batch_size(manifest: Manifest) -> object:
    """Return the images of a step as trained, which memory may have lowered."""
    fit = _section(manifest, "step").get("batch")
    asked = _section(manifest, "config").get("batch_size")
    return fit.get("taken", asked) if isinstance(fit, Mapping) else asked


def _device(entry: object) -> str:
    """Return a device of a fleet with the clients it plays."""
    known = entry if isinstance(entry, Mapping) else {}
    clients = "+".join(map(str, known.get("partition") or ()))
    return f"{known.get('device')} ({clients}; {known.get('host')})"


def _close(first: str, second: str, tolerance: float) -> bool:
    """Say whether two texts are numbers that differ by no more than a share of the larger."""
    try:
        one, other = float(first), float(second)
    except ValueError:
        return False
    return abs(one - other) <= tolerance * max(abs(one), abs(other))


def _short(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _text(value: object) -> str:
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
