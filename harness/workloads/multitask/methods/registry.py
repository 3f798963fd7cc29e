"""List the methods by name, with their parameters, and read them from the command line.

A method is written `name` or `name:key=value,key=value`. No torch is needed to list or check them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devices import extensions
from harness.core.errors import HarnessError, UsageError, unknown
from harness.workloads.multitask.methods.continuation import Continuation
from harness.workloads.multitask.methods.how_many import HowMany
from harness.workloads.multitask.methods.joining_list import JOINING
from harness.workloads.multitask.methods.measuring import Measuring
from harness.workloads.multitask.methods.parameters import (
    ALIKE,
    ANY,
    UNLIKE,
    Method,
    Parameter,
    Value,
)
from harness.workloads.multitask.methods.pull import Pull
from harness.workloads.multitask.methods.schedule import (
    Choice,
    Schedule,
    Setting,
    measured_throughout,
)
from harness.workloads.multitask.methods.splitting_list import SPLITTING
from harness.workloads.multitask.methods.weighing_list import ALL_IN_ONE, WEIGHING
from harness.workloads.multitask.training.descent import Descent

__all__ = ["METHODS", "Method", "MultitaskMethod", "Parameter", "parse"]

RECORDS: Mapping[str, Callable[..., object]] = {
    "how_many": HowMany,
    "descent": Descent,
    "go_on": Continuation,
    "measuring": Measuring,
    "pull": Pull,
}
"""What parameters that belong together make up; fields have the parameters' names."""

INDEPENDENT = Method(
    "independent",
    "harness.workloads.multitask.methods.independent:independent",
    "one job per task (one-by-one), the reference",
    "n·R·(E + D)",
    "McMahan et al., AISTATS 2017 (FedAvg)",
    clients=ANY,
)

OWN: dict[str, Method] = {
    method.name: method for method in (INDEPENDENT, ALL_IN_ONE, *SPLITTING, *JOINING, *WEIGHING)
}


class _Methods(Mapping[str, Method]):
    """Be all methods by name: those of this program, and behind them those from outside."""

    def __getitem__(self, name: str) -> Method:
        return OWN[name] if name in OWN else _outside()[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*OWN, *_outside()))

    def __len__(self) -> int:
        return len(OWN) + len(_outside())


METHODS: Mapping[str, Method] = _Methods()


def _outside() -> dict[str, Method]:
    found = extensions.sound("methods", _faults, tuple(OWN))
    return {name: thing for name, (thing, _) in found.items() if isinstance(thing, Method)}


def _faults(thing: object, _: extensions.Offered) -> list[str]:
    """Return everything that is wrong with a method from outside."""
    if not isinstance(thing, Method):
        return ["METHOD is no harness.workloads.multitask.methods.parameters.Method"]
    faults = []
    if not re.fullmatch(r"[a-z][a-z0-9-]*", thing.name):
        faults.append(f"its name {thing.name!r} is not of small letters, digits and -")
    faults += [
        f"its {word} is empty" for word in ("meaning", "cost", "source") if not getattr(thing, word)
    ]
    try:
        takes = list(inspect.signature(thing.load()).parameters)[1:]
    except Exception as error:
        return [*faults, f"its schedule {thing.schedule!r}: {extensions.fault(error)}"]
    given = dict.fromkeys(p.record or p.name for p in thing.parameters)
    faults += [f"its schedule takes no {name}" for name in given if name not in takes]
    faults += [f"its schedule takes {name}, of which it tells nothing" for name in takes
               if name not in given]  # fmt: skip
    return faults


@dataclass(frozen=True)
class MultitaskMethod:
    """Hold one method as asked for: its name, the parameters given, and the text they came from."""

    text: str
    name: str
    given: Mapping[str, Value]

    def parameters(self, setting: Setting) -> dict[str, Value]:
        """Return all parameters with defaults filled in."""
        values: dict[str, Value] = {}
        for parameter in METHODS[self.name].parameters:
            default = _default(parameter, setting, values)
            values[parameter.name] = self.given.get(parameter.name, default)
        return values

    def schedule(self, setting: Setting) -> Schedule:
        """Return the generator of jobs."""
        method = METHODS[self.name]
        schedule = method.load()(setting, **_arguments(method, self.parameters(setting)))
        if setting.protocol.looks_ahead_everywhere:
            return measured_throughout(schedule)
        return schedule

    def choice(self, setting: Setting) -> Choice | None:
        """Return what says which groups a mean affinity gives; None if the method measures none."""
        method = METHODS[self.name]
        choose = method.load_choice()
        return choose and choose(setting, **_arguments(method, self.parameters(setting)))

    def problems(self, setting: Setting) -> list[HarnessError]:
        """Return what makes the parameters impossible in a setting."""
        method = METHODS[self.name]
        if method.clients == (ALIKE if setting.client_tasks else UNLIKE):
            return [_wrong_clients(self.text, method)]
        values = self.parameters(setting)
        found = (p.problem(values[p.name], values, setting, self.text) for p in method.parameters)
        return [_with_help(problem, method) for problem in found if problem is not None]

    @property
    def slug(self) -> str:
        """Return the text as it may stand in a file name."""
        return "-".join(filter(None, _words(self.text)))


def _default(parameter: Parameter, setting: Setting, values: Mapping[str, Value]) -> Value:
    """Return what a parameter is if it is not given: by the setting and its protocol."""
    name, protocol = parameter.name, setting.protocol
    if name == "merge_rounds":  # R0 = 30 of R = 100 in the paper
        return max(1, round(0.3 * setting.rounds))
    if name == "exact" and protocol.at_most_splits:
        return False
    if name == "lr" and protocol.jobs_start_over:
        return "restart"
    if name == "affinity_rounds" and values.get("sure") is not None:
        return None
    if name == "affinity_rounds":
        most = int(values.get("merge_rounds") or setting.rounds)
        wanted = protocol.affinity_rounds or parameter.default
        return None if wanted is None else min(int(wanted), most)
    return parameter.default


def _arguments(method: Method, values: Mapping[str, Value]) -> dict[str, object]:
    """Return what the schedule takes: parameters, or the records that some of them make up."""
    found: dict[str, object] = {}
    parts: dict[str, dict[str, Any]] = {}
    for parameter in method.parameters:
        value = values[parameter.name]
        if parameter.record:
            parts.setdefault(parameter.record, {})[parameter.name] = value
        else:
            found[parameter.name] = value
    return found | {record: RECORDS[record](**fields) for record, fields in parts.items()}


def _wrong_clients(text: str, method: Method) -> UsageError:
    """Return what is wrong with a method that is for other clients."""
    if method.clients == UNLIKE:
        return UsageError(
            f"{text} is for clients with labels of unlike tasks, and all have all of them",
            "Say which have which, as in --client-tasks 'sdn|kt'.",
        )
    able = ", ".join(name for name, other in METHODS.items() if other.clients != ALIKE)
    return UsageError(
        f"{text} needs clients with labels for all tasks, and --client-tasks says otherwise",
        f"Methods for unlike clients: {able}.",
    )


def _words(text: str) -> Sequence[str]:
    text = re.sub(r"([=:])-", r"\1minus-", text)  # else -1 and 1 were one name
    return "".join(c if c.isalnum() else "-" for c in text).split("-")


def _with_help(error: UsageError, method: Method) -> UsageError:
    """Return the error with the method's own help below its remedy."""
    return UsageError(error.message, "\n  ".join(filter(None, (error.remedy, method.help))))


def parse(text: str) -> MultitaskMethod:
    """Read one method.

    Raises:
        UsageError: if the method, a parameter or a value is unknown; names the nearest right one
            and shows the method's help.
    """
    name, _, rest = text.partition(":")
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    try:
        return MultitaskMethod(text, name, _given(METHODS[name], rest, text))
    except UsageError as error:
        raise _with_help(error, METHODS[name]) from None


def _given(method: Method, rest: str, text: str) -> dict[str, Value]:
    known = {p.name: p for p in method.parameters}
    given: dict[str, Value] = {}
    for piece in _pieces(rest):
        key, equals, value = piece.partition("=")
        if key not in known:
            raise unknown(f"parameter of {method.name}", key, known or ["(it has none)"])
        if not equals:
            raise UsageError(f"{text}: parameter '{key}' has no value", f"Write {key}=VALUE.")
        if key in given:
            raise UsageError(f"{text}: parameter '{key}' is given twice")
        given[key] = known[key].read(value, text)
    return given


def _pieces(text: str) -> list[str]:
    """Split `x=1,weights=s:1,d:4` into parameters; a weight belongs to the piece before it."""
    found: list[str] = []
    for piece in filter(None, text.split(",")):
        if found and found[-1].startswith("weights=") and "=" not in piece:
            found[-1] += "," + piece
        else:
            found.append(piece)
    return found
