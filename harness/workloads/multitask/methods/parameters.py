"""Describe methods and their parameters, and read the values that people type for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from harness.core.errors import UsageError, unknown
from harness.workloads.multitask.methods.schedule import Choice, Schedule, Setting

Value = int | bool | float | str | None


@dataclass(frozen=True)
class Parameter:
    """Describe one parameter of a method; a default of None depends on the setting.

    `choices` are the words a text may be. A number is at least `least`, less than `below`, at most
    `highest`, and at most what `most` names: `tasks` or `rounds` of the setting, or another
    parameter. `noun` says what is counted. Where the switch that it `needs` is off only its default
    is taken. Parameters of the same `record` reach the schedule as one argument.
    """

    name: str
    kind: type[int] | type[bool] | type[float] | type[str]
    default: Value
    meaning: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    below: float | None = None
    highest: float | None = None
    most: str | None = None
    noun: str = ""
    record: str = ""
    needs: str = ""

    def read(self, text: str, where: str) -> Value:
        """Read a value.

        Raises:
            UsageError: if the text is not of the parameter's kind.
        """
        if self.kind is bool:
            words = {"yes": True, "true": True, "no": False, "false": False}
            if text.lower() in words:
                return words[text.lower()]
            raise UsageError(f"{where}: {self.name} is yes or no, not '{text}'")
        if self.kind is str:
            if text in self.choices:
                return text
            raise unknown(f"{self.name} in {where}:", text, self.choices)
        return self._number(text, where)

    def _number(self, text: str, where: str) -> int | float:
        kind = "whole number" if self.kind is int else "number"
        try:
            value = int(text) if self.kind is int else float(text)
        except ValueError:
            raise UsageError(f"{where}: {self.name} is a {kind}, not '{text}'") from None
        if not math.isfinite(value):
            raise UsageError(f"{where}: {self.name} is a finite {kind}, not '{text}'")
        return value

    def problem(
        self, value: Value, values: Mapping[str, Value], setting: Setting, where: str
    ) -> UsageError | None:
        """Return what is wrong with a value in a setting, such as the size of a number."""
        if self.needs and value != self.default and not values[self.needs]:
            text = f"{where}: {self.name} does nothing with {self.needs}=no"
            return UsageError(text, f"Leave one of them out, or give {self.needs}=yes.")
        if value is None or isinstance(value, str | bool):
            return None
        limit = self._limit(values, setting)
        if limit is None:
            return self._out_of_range(value, where)
        if (self.least is None or value >= self.least) and value <= limit:
            return None
        of = self.most if self.most in ("tasks", "rounds") else "merged rounds"
        more = ", or more --rounds" if self.most == "rounds" else ""
        return UsageError(
            f"{where}: {value} {self.noun} of {limit} {of} is impossible",
            f"Give {self.name} between {self.least} and {limit}{more}.",
        )

    def _out_of_range(self, value: float, where: str) -> UsageError | None:
        if self.least is not None and value < self.least:
            return UsageError(f"{where}: {self.name} must be at least {self.least}, not {value}")
        if self.below is not None and value >= self.below:
            return UsageError(f"{where}: {self.name} must be below {self.below}, not {value}")
        if self.highest is not None and value > self.highest:
            return UsageError(f"{where}: {self.name} must be at most {self.highest}, not {value}")
        return None

    def _limit(self, values: Mapping[str, Value], setting: Setting) -> float | None:
        if self.most is None:
            return None
        known = {**values, "tasks": len(setting.tasks), "rounds": setting.rounds}
        limit = known[self.most]
        assert isinstance(limit, int)
        return limit

    @property
    def written(self) -> str:
        """Return an example of a value, for those that no word says the kind of."""
        return ""

    @property
    def typed_default(self) -> str:
        """Return the default as people type it; empty if the setting decides."""
        return "" if self.default is None else _typed(self.default)

    @property
    def help(self) -> str:
        """Return its line of help."""
        default = f" [{self.typed_default}]" if self.typed_default else ""
        words = f" ({'|'.join(self.choices)})" if self.choices else ""
        return f"{self.name}={self.kind.__name__.upper()}  {self.meaning}{words}{default}"


def _typed(value: Value) -> str:
    """Return a value as people type it."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


ALIKE, UNLIKE, ANY = "alike", "unlike", "any"


@dataclass(frozen=True)
class Method:
    """Describe a method: where its schedule is, its parameters, its cost and its source.

    In a cost formula R is the rounds, R0 the merged rounds, n the tasks, E and D the cost of one
    round of an encoder and of a decoder, o the share that look-ahead adds, N all clients and K
    those of a round. `clients` says whether it is for those that have labels of alike or of unlike
    tasks, or for any. `choice` names what says, by the arguments of the schedule, which groups a
    mean affinity gives; empty for methods that measure none.
    """

    name: str
    schedule: str
    meaning: str
    cost: str
    source: str
    parameters: tuple[Parameter, ...] = ()
    clients: str = ALIKE
    choice: str = ""

    def load(self) -> Callable[..., Schedule]:
        """Import the schedule."""
        found: Callable[..., Schedule] = _imported(self.schedule)
        return found

    def load_choice(self) -> Callable[..., Choice] | None:
        """Import what says which groups an affinity gives; None of a method without."""
        return _imported(self.choice) if self.choice else None

    @property
    def help(self) -> str:
        """Return the method and its parameters, one line each."""
        lines = [f"{self.name}: {self.meaning}"]
        lines += [f"  {parameter.help}" for parameter in self.parameters] or ["  (no parameters)"]
        return "\n  ".join(lines)


def _imported(name: str) -> Any:  # noqa: ANN401 - whatever it names
    module, attribute = name.split(":")
    return getattr(import_module(module), attribute)
