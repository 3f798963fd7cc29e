"""Know the methods by name, and read them as typed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError, UsageError, unknown

if TYPE_CHECKING:
    from harness.workloads.unlearning.methods.base import Method


@dataclass(frozen=True)
class Known:
    """Describe a method: what it is, its guarantee, its parameters, where its class is."""

    title: str
    guarantee: str
    class_name: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    sharded: bool = False

    @property
    def module(self) -> str:
        """Return the module that holds its class."""
        return "sharded" if self.sharded else "single"


METHODS: Mapping[str, Known] = {
    "retrain": Known("learn anew on those who stay; the reference", "exact", "Retrain"),
    "finetune": Known(
        "go on for a tenth of the epochs on those who stay", "approximate", "FineTune"
    ),
    "sisa": Known(
        "random shards; learn the touched ones anew", "exact", "Sisa", {"shards": 10.0},
        sharded=True,
    ),
    "receraser": Known(
        "balanced clusters as shards, combined by attention", "exact", "RecEraser",
        {"shards": 10.0, "slack": 1.0}, sharded=True,
    ),
    "ultrare": Known(
        "shards by optimal transport (package POT), each user's own answers", "exact", "UltraRe",
        {"shards": 10.0}, sharded=True,
    ),
    "scif": Known("one Newton step on the leaving users' vectors", "approximate", "Scif"),
    "influence": Known("one Newton step on every item", "approximate", "Influence"),
}  # fmt: skip


@dataclass(frozen=True)
class UnlearningMethod:
    """Be one method as typed."""

    text: str
    name: str
    parameters: Mapping[str, float]

    @property
    def slug(self) -> str:
        """Return it as it may stand in a file name; defaults are spelt out."""
        told = "-".join(f"{key}{value:g}" for key, value in self.parameters.items())
        return f"{self.name}-{told}" if told else self.name

    @property
    def known(self) -> Known:
        """Return its description."""
        return METHODS[self.name]

    @property
    def shards(self) -> int:
        """Return its models."""
        return int(self.parameters.get("shards", 1))

    def build(self) -> Method:
        """Return what carries it out; torch is imported only now."""
        from importlib import import_module  # noqa: PLC0415

        module = import_module(f"harness.workloads.unlearning.methods.{self.known.module}")
        values = {k: int(v) if k == "shards" else v for k, v in self.parameters.items()}
        found: Method = getattr(module, self.known.class_name)(**values)
        return found


def parse(text: str) -> UnlearningMethod:
    """Read a method such as `sisa:shards=10`.

    Raises:
        UsageError: naming the nearest right name, or the parameter that is impossible.
    """
    name, _, rest = text.partition(":")
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    parameters = dict(METHODS[name].parameters)
    for piece in filter(None, rest.split(",")):
        key, _, value = piece.partition("=")
        if key not in parameters:
            if not parameters:
                raise UsageError(f"{text}: {name} has no parameters", f"Type {name}.")
            raise unknown(f"parameter of {name}", key, parameters)
        parameters[key] = _number(text, key, value)
    return UnlearningMethod(text, name, parameters)


def _number(text: str, key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise UsageError(f"{text}: {key} is no number: '{value}'") from None
    whole = key == "shards"
    least, most = (1, 100_000) if whole else (1.0, 100.0)
    if not math.isfinite(number) or not least <= number <= most or (whole and number % 1):
        kind = "a whole number" if whole else "a number"
        raise UsageError(f"{text}: {key} must be {kind} from {least:g} to {most:g}, got {value}")
    return number


def shard_problems(spec: UnlearningMethod, users: int) -> list[HarnessError]:
    """Return what makes a method impossible with so many users."""
    if spec.shards <= users:
        return []
    text = f"{spec.text}: {spec.shards} shards of {users} users is impossible"
    return [UsageError(text, "Lower shards: each needs one user at least.")]
