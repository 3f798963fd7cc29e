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
from harness.workloads.multitask.affinity.rule import MODES
from harness.workloads.multitask.methods.continuation import Continuation
from harness.workloads.multitask.methods.how_many import HowMany
from harness.workloads.multitask.methods.measuring import Measuring, MomentumParameter
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
from harness.workloads.multitask.methods.weighing_list import ALL_IN_ONE, WEIGHING
from harness.workloads.multitask.training.descent import OPTIMIZERS, SCHEDULES, Descent

__all__ = ["METHODS", "Method", "MultitaskMethod", "Parameter", "parse", "split_list"]

RECORDS: Mapping[str, Callable[..., object]] = {
    "how_many": HowMany,
    "descent": Descent,
    "go_on": Continuation,
    "measuring": Measuring,
    "pull": Pull,
}
"""What parameters that belong together make up; fields have the parameters' names."""

ADAPTIVE = (
    Parameter("rate", float, 0.01, "the server's rate", least=1e-12),
    Parameter("first", float, 0.9, "decay of the mean change", least=0.0, below=1.0),
    Parameter("second", float, 0.99, "decay of its square", least=0.0, below=1.0),
    Parameter("floor", float, 1e-3, "added to the root of the square", least=1e-12),
)
CAUTION = Parameter(
    "caution", float, 0.4, "how far the common step may turn from the mean", least=0.0, below=1.0
)
SHARE = Parameter(
    "share", float, 0.1, "share of the common step to begin with; it is learnt", least=0.0
)
SPLITS = Parameter(
    "splits", int, 2, "groups to split into", least=1, most="tasks", noun="splits"
)  # fmt: skip
MERGE_ROUNDS = Parameter(
    "merge_rounds", int, None, "merged rounds R0; 30 % of all rounds",
    least=1, most="rounds", noun="merged rounds", record="go_on",
)  # fmt: skip
MERGE_ROUNDS_OR_NONE = Parameter(
    "merge_rounds", int, None, "merged rounds R0, 0 for groups from scratch; 30 % of all rounds",
    least=0, most="rounds", noun="merged rounds",
)  # fmt: skip


def _measuring(
    most: str, rounds: str, default: int | None = None, mode: str = "exact"
) -> tuple[Parameter, ...]:
    """Return the parameters that say how affinity is measured."""
    return (
        Parameter(
            "sure", float, None,
            "measure ever more often, until this share of bootstrap samples gives one split",
            least=0.0, below=1.0, record="measuring",
        ),
        Parameter(
            "affinity_rounds", int, default, rounds,
            least=1, most=most, noun="affinity rounds", record="measuring",
        ),
        Parameter(
            "affinity", str, mode, "exact tries steps; linear: gradients; projected: fitted losses",
            choices=MODES, record="measuring",
        ),
        Parameter(
            "affinity_every", int, None, "batches between look-aheads; as --look-ahead-every",
            least=1, record="measuring",
        ),
        MomentumParameter(
            "momentum", bool, False, "look ahead along the optimizer's momentum too",
            record="measuring",
        ),
    )  # fmt: skip


OWN: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "independent",
            "harness.workloads.multitask.methods.independent:independent",
            "one job per task (one-by-one), the reference",
            "n·R·(E + D)",
            "McMahan et al., AISTATS 2017 (FedAvg)",
            clients=ANY,
        ),
        ALL_IN_ONE,
        Method(
            "mas",
            "harness.workloads.multitask.methods.mas:mas",
            "merge all tasks, split them by affinity, go on with each group",
            "R0·(E + n·D)·(1 + o) + Σ over groups g of (R − R0)·(E + |g|·D); hierarchical:"
            " Σ over groups g of their rounds·(E + |g|·D), ·(1 + o) while more splits follow",
            "Zhuang et al., ICCV 2023",
            (
                SPLITS,
                MERGE_ROUNDS,
                Parameter("exact", bool, True, "exactly that many groups, not at most"),
                Parameter(
                    "init", str, "encoder+decoders", "what a group takes from the merged model",
                    choices=("encoder+decoders", "encoder", "scratch"), record="go_on",
                ),
                Parameter(
                    "lr", str, "continue", "learning rate after the split",
                    choices=("continue", "restart"), record="go_on",
                ),
                Parameter(
                    "hierarchical", bool, False,
                    "split in two, then the worst group again after as many rounds, till splits",
                ),
                *_measuring("merge_rounds", "rounds that measure affinity; all merged ones"),
            ),
            choice="harness.workloads.multitask.methods.mas:choice",
        ),
        Method(
            "mas-plus",
            "harness.workloads.multitask.methods.mas_plus:mas_plus",
            "mas with equal pull of all tasks, Nesterov steps, and only as many groups as pay",
            "R0·(E + n·D)·(1 + o) + Σ over groups g of (R − R0)·(E + |g|·D), often one group",
            "this project; docs/mas-plus.md has what each part brings",
            (
                Parameter(
                    "splits", int, 3, "most groups, or with pays=no just as many",
                    least=1, most="tasks", noun="splits", record="how_many",
                ),
                Parameter(
                    "pays", bool, True, "as many groups as lower losses most for their cost",
                    record="how_many",
                ),
                Parameter(
                    "decoder_cost", float, 0.2, "cost of a decoder over that of the encoder",
                    least=0.0, record="how_many",
                ),
                Parameter(
                    "balance", bool, True, "scale gradients at the encoder to the largest",
                    record="pull",
                ),
                Parameter(
                    "detail", float, 1.0,
                    "with balance, pull of tasks of fine structure (k, t, a) over the others'",
                    least=0.0, record="pull", needs="balance",
                ),
                Parameter(
                    "effort", float, 1.0, "share of the run's rounds that is trained",
                    least=0.01, highest=1.0,
                ),
                Parameter(
                    "optimizer", str, "nesterov", "kind of momentum",
                    choices=OPTIMIZERS, record="descent",
                ),
                Parameter(
                    "schedule", str, "hold", "how the learning rate falls",
                    choices=SCHEDULES, record="descent",
                ),
                Parameter(
                    "factor", float, 1.0, "by what the run's learning rate is multiplied",
                    least=0.0, record="descent",
                ),
                MERGE_ROUNDS,
                *_measuring("merge_rounds", "rounds that measure affinity", 2, "linear"),
            ),
            choice="harness.workloads.multitask.methods.mas_plus:choice",
        ),
        Method(
            "tag",
            "harness.workloads.multitask.methods.tag:tag",
            "merge to the end with affinity, then train overlapping groups from scratch",
            "R·(E + n·D)·(1 + o) + Σ over groups g of R·(E + |g|·D); a group of all tasks is free",
            "Fifty et al., NeurIPS 2021",
            (SPLITS, *_measuring("rounds", "rounds that measure affinity; all of them")),
            choice="harness.workloads.multitask.methods.tag:choice",
        ),
        Method(
            "hoa",
            "harness.workloads.multitask.methods.hoa:hoa",
            "train all singles and pairs, predict groups by validation loss, train the larger ones",
            "n·R·(E + D) + n(n − 1)/2·R·(E + 2·D) + Σ over groups g of 3 or more of R·(E + |g|·D)",
            "Standley et al., ICML 2020",
            (SPLITS,),
        ),
        Method(
            "fedprox",
            "harness.workloads.multitask.methods.fedprox:fedprox",
            "all-in-one with clients held near the global model",
            "R·(E + n·D)",
            "Li et al., MLSys 2020",
            (Parameter("mu", float, 0.01, "weight of the proximal term", least=0.0),),
        ),
        Method(
            "fedavgm",
            "harness.workloads.multitask.methods.servers:fedavgm",
            "all-in-one with a server that keeps the momentum of the mean change",
            "R·(E + n·D)",
            "Hsu et al., 2019",
            (
                Parameter("rate", float, 1.0, "the server's rate", least=1e-12),
                Parameter("momentum", float, 0.9, "the server's momentum", least=0.0, below=1.0),
            ),
        ),
        Method(
            "fedadam",
            "harness.workloads.multitask.methods.servers:fedadam",
            "all-in-one with a server that steps as Adam does",
            "R·(E + n·D)",
            "Reddi et al., ICLR 2021",
            ADAPTIVE,
        ),
        Method(
            "fedyogi",
            "harness.workloads.multitask.methods.servers:fedyogi",
            "all-in-one with a server that steps as Yogi does",
            "R·(E + n·D)",
            "Reddi et al., ICLR 2021",
            ADAPTIVE,
        ),
        Method(
            "fednova",
            "harness.workloads.multitask.methods.servers:fednova",
            "all-in-one with changes averaged per step, for clients of unlike numbers of steps",
            "R·(E + n·D)",
            "Wang et al., NeurIPS 2020",
        ),
        Method(
            "scaffold",
            "harness.workloads.multitask.methods.servers:scaffold",
            "all-in-one with control variates, which travel too",
            "R·(E + n·D), three models down and two up",
            "Karimireddy et al., ICML 2020",
        ),
        Method(
            "gradnorm",
            "harness.workloads.multitask.methods.gradnorm:gradnorm",
            "all-in-one with task weights that even out training rates, per client and round",
            "R·(E + n·D)",
            "Chen et al., ICML 2018",
            (
                Parameter("alpha", float, 1.5, "how strongly slow tasks are favoured", least=0.0),
                Parameter(
                    "step", float, 0.025, "share of itself by which a weight moves per batch",
                    least=0.0, below=1.0,
                ),
            ),
        ),
        Method(
            "pcgrad",
            "harness.workloads.multitask.methods.pcgrad:pcgrad",
            "all-in-one with conflicting encoder gradients projected",
            "R·(E·(1 + 2·n)/3 + n·D)",
            "Yu et al., NeurIPS 2020",
        ),
        *WEIGHING,
        Method(
            "standalone",
            "harness.workloads.multitask.methods.standalone:standalone",
            "no federation: every client alone, all tasks merged; mean over clients",
            "(N/K)·R·(E + n·D), nothing is sent",
            "Zhuang et al., ICCV 2023",
        ),
        Method(
            "random-split",
            "harness.workloads.multitask.methods.random_split:random_split",
            "as mas, but with a random partition and no affinity",
            "R0·(E + n·D) + Σ over groups g of (R − R0)·(E + |g|·D)",
            "no paper: the split that chance gives, drawn by the seed",
            (SPLITS, MERGE_ROUNDS_OR_NONE),
        ),
        Method(
            "best-split",
            "harness.workloads.multitask.methods.oracles:best_partition",
            "oracle: train every group, take the partition with the least validation loss",
            "R0·(E + n·D) + Σ over all groups g of any partition of (R − R0)·(E + |g|·D)",
            "Zhuang et al., ICCV 2023 (ablation); charged for all it trains",
            (SPLITS, MERGE_ROUNDS_OR_NONE),
        ),
        Method(
            "worst-split",
            "harness.workloads.multitask.methods.oracles:worst_partition",
            "oracle: train every group, take the partition with the greatest validation loss",
            "R0·(E + n·D) + Σ over all groups g of any partition of (R − R0)·(E + |g|·D)",
            "Zhuang et al., ICCV 2023 (ablation); charged for all it trains",
            (SPLITS, MERGE_ROUNDS_OR_NONE),
        ),
        Method(
            "mas-together",
            "harness.workloads.multitask.methods.mas_together:mas_together",
            "as mas, but after the split encoders go on exchanging a step that none suffers from",
            "as mas; the exchange is the server's work",
            "this project; the exchange is that of Lu et al., CVPR 2024 (FedHCA²)",
            (
                SPLITS,
                CAUTION,
                SHARE,
                MERGE_ROUNDS,
                *_measuring("merge_rounds", "rounds that measure affinity; all merged ones"),
            ),
            choice="harness.workloads.multitask.methods.mas_together:choice",
        ),
        Method(
            "apart",
            "harness.workloads.multitask.methods.unlike_clients:apart",
            "clients of the same tasks train one model, and nothing is exchanged between kinds",
            "Σ over kinds of clients g of R·(E + |g|·D)",
            "no paper: what every exchange between unlike clients has to beat",
            clients=UNLIKE,
        ),
        Method(
            "mat-fl",
            "harness.workloads.multitask.methods.unlike_clients:mat_fl",
            "as apart, with encoders mixed by how alike they have become",
            "as apart; the mixing is the server's work",
            "Cai et al., CVPR workshops 2023 (MaT-FL)",
            (Parameter("threshold", float, 0.0, "added to every cosine", least=-1.0),),
            UNLIKE,
        ),
        Method(
            "fedhca2",
            "harness.workloads.multitask.methods.unlike_clients:fedhca2",
            "as apart, with a step that none suffers from and attention among decoders",
            "as apart; the exchange is the server's work",
            "Lu et al., CVPR 2024 (FedHCA²)",
            (CAUTION, SHARE),
            UNLIKE,
        ),
    )
}  # fmt: skip


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
    return "".join(c if c.isalnum() else "-" for c in text).split("-")


def _with_help(error: UsageError, method: Method) -> UsageError:
    """Return the error with the method's own help below its remedy."""
    return UsageError(error.message, "\n  ".join(filter(None, (error.remedy, method.help))))


def split_list(text: str) -> list[str]:
    """Split `a,b:x=1,y=2,c` into methods: a piece `key=value` belongs to the method before it.

    So does a piece `task:weight` behind the first one of `weights=`.
    """
    found: list[str] = []
    for piece in filter(None, (p.strip() for p in text.split(","))):
        weight = ":" in piece and "=" not in piece and bool(found) and "weights=" in found[-1]
        if found and (weight or ("=" in piece and ":" not in piece)):
            found[-1] += "," + piece
        else:
            found.append(piece)
    return found


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
