"""List the methods by name, with their parameters, and read them from the command line.

A method is written `name` or `name:key=value,key=value`. No torch is needed to list or check them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from harness.errors import HarnessError, UsageError, unknown
from harness.methods.schedule import Schedule, Setting

Value = int | bool


@dataclass(frozen=True)
class Parameter:
    """Describe one parameter of a method; a default of None depends on the setting."""

    name: str
    kind: type[int] | type[bool]
    default: Value | None
    meaning: str


@dataclass(frozen=True)
class Method:
    """Describe a method: where its schedule is, its parameters, its cost and its source.

    In a cost formula R is the rounds, R0 the merged rounds, n the tasks, E and D the cost of one
    round of an encoder and of a decoder, o the share that look-ahead adds.
    """

    name: str
    schedule: str
    meaning: str
    cost: str
    source: str
    parameters: tuple[Parameter, ...] = ()

    def load(self) -> Callable[..., Schedule]:
        """Import the schedule."""
        module, attribute = self.schedule.split(":")
        found: Callable[..., Schedule] = getattr(import_module(module), attribute)
        return found


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "independent",
            "harness.methods.independent:independent",
            "one job per task (one-by-one), the reference",
            "n·R·(E + D)",
            "McMahan et al., AISTATS 2017 (FedAvg)",
        ),
        Method(
            "all-in-one",
            "harness.methods.all_in_one:all_in_one",
            "one job for all tasks, merged to the end",
            "R·(E + n·D)",
            "Zhuang et al., ICCV 2023",
        ),
        Method(
            "mas",
            "harness.methods.mas:mas",
            "merge all tasks, split them by affinity, go on with each group",
            "R0·(E + n·D)·(1 + o) + Σ over groups g of (R − R0)·(E + |g|·D)",
            "Zhuang et al., ICCV 2023",
            (
                Parameter("splits", int, 2, "groups to split into"),
                Parameter("merge_rounds", int, None, "merged rounds R0; 30 % of all rounds"),
                Parameter("exact", bool, True, "exactly that many groups, not at most"),
            ),
        ),
    )
}


@dataclass(frozen=True)
class MethodSpec:
    """Hold one method as asked for: its name, the parameters given, and the text they came from."""

    text: str
    name: str
    given: Mapping[str, Value]

    def parameters(self, setting: Setting) -> dict[str, Value]:
        """Return all parameters with defaults filled in."""
        values: dict[str, Value] = {}
        for parameter in METHODS[self.name].parameters:
            default = parameter.default
            if default is None:  # merge_rounds: R0 = 30 of R = 100 in the paper
                default = max(1, round(0.3 * setting.rounds))
            values[parameter.name] = self.given.get(parameter.name, default)
        return values

    def schedule(self, setting: Setting) -> Schedule:
        """Return the generator of jobs."""
        return METHODS[self.name].load()(setting, **self.parameters(setting))

    def problems(self, setting: Setting) -> list[HarnessError]:
        """Return what makes the parameters impossible in a setting."""
        values = self.parameters(setting)
        found: list[HarnessError] = []
        splits, merged = values.get("splits"), values.get("merge_rounds")
        if splits is not None and not 1 <= splits <= len(setting.tasks):
            found.append(
                UsageError(
                    f"{self.text}: {splits} splits of {len(setting.tasks)} tasks is impossible",
                    f"Give splits between 1 and {len(setting.tasks)}.",
                )
            )
        if merged is not None and not 1 <= merged <= setting.rounds:
            found.append(
                UsageError(
                    f"{self.text}: {merged} merged rounds of {setting.rounds} rounds is impossible",
                    f"Give merge_rounds between 1 and {setting.rounds}, or more --rounds.",
                )
            )
        return found

    @property
    def slug(self) -> str:
        """Return the text as it may stand in a file name."""
        return "-".join(filter(None, _words(self.text)))


def _words(text: str) -> Sequence[str]:
    return "".join(c if c.isalnum() else "-" for c in text).split("-")


def split_list(text: str) -> list[str]:
    """Split `a,b:x=1,y=2,c` into methods: a piece `key=value` belongs to the method before it."""
    found: list[str] = []
    for piece in filter(None, (p.strip() for p in text.split(","))):
        if "=" in piece and ":" not in piece and found:
            found[-1] += "," + piece
        else:
            found.append(piece)
    return found


def parse(text: str) -> MethodSpec:
    """Read one method.

    Raises:
        UsageError: if the method, a parameter or a value is unknown; names the nearest right one.
    """
    name, _, rest = text.partition(":")
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    known = {p.name: p for p in METHODS[name].parameters}
    given: dict[str, Value] = {}
    for piece in filter(None, rest.split(",")):
        key, equals, value = piece.partition("=")
        if key not in known:
            raise unknown(f"parameter of {name}", key, known or ["(it has none)"])
        if not equals:
            raise UsageError(f"{text}: parameter '{key}' has no value", f"Write {key}=VALUE.")
        given[key] = _value(known[key], value, text)
    return MethodSpec(text, name, given)


def _value(parameter: Parameter, text: str, where: str) -> Value:
    if parameter.kind is bool:
        words = {"yes": True, "true": True, "no": False, "false": False}
        if text.lower() in words:
            return words[text.lower()]
        raise UsageError(f"{where}: {parameter.name} is yes or no, not '{text}'")
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{where}: {parameter.name} is a whole number, not '{text}'") from None
