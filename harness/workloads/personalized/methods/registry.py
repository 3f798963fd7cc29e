"""Name the methods with their parameters, and read what people type for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError, UsageError, unknown
from harness.workloads.personalized.methods.options import MethodOption
from models.personalized.families import FAMILIES

if TYPE_CHECKING:
    from harness.workloads.personalized.methods.rule import ClubRule

_PACKAGE = "harness.workloads.personalized.methods"
FAMILY_NAMES = tuple(FAMILIES)


@dataclass(frozen=True)
class MethodFacts:
    """Describe a method: what it is, where its rule is, what a client sends, where it is from."""

    name: str
    rule: str
    meaning: str
    sends: str
    source: str
    parameters: tuple[MethodOption, ...] = ()


_WEIGHT = MethodOption("weight", "weight", 0.2, "of the teacher's KL beside the labels' loss", 0.0)
_LABELS = MethodOption("labels", "use_labels", True, "whether labels of public images are used")
_PRETRAIN = MethodOption(
    "pretrain", "pretrain", 15, "epochs on public labels at first", 0, whole=True
)
_TUNE = MethodOption("tune", "tune", 3, "epochs that stitches are tuned for", 0, whole=True)
_GROUPS = MethodOption("groups", "groups", 4, "groups of blocks", 1, whole=True)
_TRIED = MethodOption(
    "candidates", "candidates", 3, "networks that are built and matched", 1, whole=True
)
_RATE = MethodOption("rate", "rate", 3e-3, "Adam's rate of the tuning", above=0.0)


def _family(
    default: str, meaning: str, name: str = "family", of: str = "one_family"
) -> MethodOption:
    return MethodOption(name, of, default, meaning, words=FAMILY_NAMES)


METHODS: Mapping[str, MethodFacts] = {
    method.name: method
    for method in (
        MethodFacts("local", "local:Local", "every client alone", "nothing", "reference"),
        MethodFacts(
            "smooth",
            "smooth:Smooth",
            "control: a teacher that knows nothing",
            "nothing",
            "label smoothing",
            (_WEIGHT,),
        ),
        MethodFacts(
            "local+public",
            "local_public:LocalPublic",
            "control: own and public images alike",
            "public images once",
            "control",
        ),
        MethodFacts(
            "kd-public",
            "kd_public:KdPublic",
            "control: a teacher of the own family from public labels alone",
            "teacher, once made",
            "control",
            (_WEIGHT, _PRETRAIN),
        ),
        MethodFacts(
            "fedavg",
            "fedavg:FedAvg",
            "average one family's networks",
            "network, both ways",
            "AISTATS 2017",
            (_family("small", "of all clients"),),
        ),
        MethodFacts(
            "fedmd",
            "fedmd:FedMD",
            "agree on the scores of public images",
            "scores, both ways",
            "arXiv:1910.03581",
            (_LABELS, _PRETRAIN),
        ),
        MethodFacts(
            "fedgh",
            "fedgh:FedGH",
            "one head, trained on all clients' class means",
            "class means up, head down",
            "arXiv:2303.13137",
        ),
        MethodFacts(
            "feddf",
            "feddf:FedDF",
            "average families, distil all into each",
            "network, both ways",
            "NeurIPS 2020",
            (MethodOption("steps", "steps", 100, "of distillation at most", 0, whole=True),),
        ),
        MethodFacts(
            "fccl",
            "fccl:FCCL",
            "correlate the logits of public images",
            "logits, both ways",
            "CVPR 2022",
        ),
        MethodFacts(
            "fedproto",
            "fedproto:FedProto",
            "pull embeddings to common class prototypes",
            "class means, both ways",
            "AAAI 2022",
            (MethodOption("weight", "weight", 1.0, "of the pull to the prototypes", 0.0),),
        ),
        MethodFacts(
            "heterofl",
            "heterofl:HeteroFL",
            "narrower cuts of one network for small devices",
            "cut of the network, both ways",
            "ICLR 2021",
            (_family("wide", "that is cut"),),
        ),
        MethodFacts(
            "fedkemf",
            "fedkemf:FedKEMF",
            "a small knowledge network beside the own",
            "knowledge network, both ways",
            "arXiv:2208.07978",
            (_family("tiny", "of the knowledge network", "knowledge", "knowledge"),),
        ),
        MethodFacts(
            "pfedhr",
            "pfedhr:PFedHR",
            "teachers from one pool of reassembled networks",
            "network up, teacher down",
            "NeurIPS 2023",
            (_GROUPS, _TRIED, _WEIGHT, _TUNE, _RATE, _LABELS),
        ),
        MethodFacts(
            "pfedclub",
            "pfedclub:PFedClub",
            "a teacher reassembled for each client",
            "network up, teacher down",
            "NeurIPS 2024",
            (
                _GROUPS,
                MethodOption(
                    "limit",
                    "limit",
                    None,
                    "η: a teacher has at most (1+η) times its client's parameters; none without",
                    above=-1.0,
                ),
                _TRIED,
                _WEIGHT,
                _TUNE,
                _RATE,
                _LABELS,
                MethodOption(
                    "average",
                    "average",
                    False,
                    "whether blocks of families' averages are grouped, for many clients",
                ),
                MethodOption("own", "own", False, "whether its own network may be its teacher"),
            ),
        ),
    )
}

CONTROLS = ("local", "smooth")
"""Without these no accuracy of a method with teachers is shown."""

TAUGHT = ("pfedclub", "pfedhr")
"""Methods whose teachers are put together from blocks."""


@dataclass(frozen=True)
class ClubMethod:
    """Be one method as typed; implements `harness.workloads.base.MethodSpec`."""

    text: str
    name: str
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """Return it as it may stand in a file name."""
        return "".join(c if c.isalnum() or c in ".+" else "-" for c in self.text)

    def parameters(self) -> dict[str, Any]:
        """Return all parameters by name, defaults included."""
        return {p.name: self.given.get(p.name, p.default) for p in METHODS[self.name].parameters}

    def rule(self) -> ClubRule:
        """Return its rule."""
        module, _, attribute = METHODS[self.name].rule.partition(":")
        kind = getattr(import_module(f"{_PACKAGE}.{module}"), attribute)
        fields = {p.name: p.field for p in METHODS[self.name].parameters}
        rule: ClubRule = kind(**{fields[name]: value for name, value in self.given.items()})
        return rule


def parse(text: str) -> ClubMethod:
    """Read one method, as in `pfedclub:groups=4,limit=0.1`.

    Raises:
        UsageError: naming the nearest right name, or the values allowed.
    """
    name, _, rest = text.partition(":")
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    known = {p.name: p for p in METHODS[name].parameters}
    given: dict[str, Any] = {}
    try:
        for piece in filter(None, rest.split(",")):
            key, equals, value = piece.partition("=")
            if key not in known:
                raise unknown(f"parameter of {name}", key, known or ["(it has none)"])
            if not equals:
                raise UsageError(f"{text}: parameter '{key}' has no value", f"Write {key}=VALUE.")
            if key in given:
                raise UsageError(f"{text}: parameter '{key}' is given twice")
            given[key] = known[key].read(value, name)
    except UsageError as error:
        raise _with_help(error, METHODS[name]) from None
    return ClubMethod(text, name, given)


def _with_help(error: HarnessError, method: MethodFacts) -> UsageError:
    lines = [f"{method.name}: {method.meaning}", *(f"  {p.help}" for p in method.parameters)]
    return UsageError(error.message, "\n  ".join(filter(None, (error.remedy, *lines))))
