"""List the methods: what each federates, where it comes from, what it costs, and its own rate."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.core.errors import UsageError, unknown


@dataclass(frozen=True)
class LoraMethod:
    """Describe a method.

    Attributes:
        name: as typed.
        meaning: in one sentence.
        source: where it is described; empty for brackets.
        down: bytes that clients are sent in a round, in words.
        rate: its own learning rate for the embedded model, the best of a grid (docs/lora.md).
        parameters: further ones, with defaults.
    """

    name: str
    meaning: str
    source: str
    down: str
    rate: float
    parameters: Mapping[str, float] = field(default_factory=dict)


_ALL = (
    LoraMethod(
        "flora", "stack the adapters, add the stack to the base, begin with new ones",
        "FLoRA, Wang et al., NeurIPS 2024", "bDR to each of N, or its dense product",
        1e-2,
    ),
    LoraMethod(
        "fedit", "average A and B apart; equal ranks only", "FedIT, Zhang et al., ICASSP 2024",
        "bDr to each of K", 1e-2,
    ),
    LoraMethod(
        "zeropad", "average A and B apart, short ones padded with zeros",
        "FLoRA's baseline; HetLoRA without its weights", "bDr of its own rank to each",
        1e-2,
    ),
    LoraMethod(
        "hetlora", "zero-padding weighed by update norms; clients prune their ranks",
        "HetLoRA, Cho et al., EMNLP 2024", "bDr of its kept rank to each", 2e-2,
        {"keep": 0.99, "penalty": 1e-3},
    ),
    LoraMethod(
        "ffa-lora", "train and average B alone, A is frozen and common",
        "FFA-LoRA, Sun et al., ICLR 2024", "bMr of its own rank to each", 4e-2,
    ),
    LoraMethod(
        "flexlora", "sum the products up, send each client the best adapter of its rank",
        "FlexLoRA, Bai et al., NeurIPS 2024", "bDr of its own rank to each", 1e-2,
    ),
    LoraMethod(
        "fedex", "FedIT, with the error of its average added to the base",
        "FedEx-LoRA, Singhal et al., ACL 2025", "bDr, and bD(R+r) or the dense product, to each",
        2e-2,
    ),
    LoraMethod(
        "full", "train and average every weight of the base", "FedAvg, McMahan et al., 2017",
        "bP to each of K", 1e-3,
    ),
    LoraMethod("local", "a bracket: each client trains alone, for itself", "", "none", 5e-3),
    LoraMethod(
        "central", "a bracket: one place trains on the rows of all", "", "none", 5e-3
    ),
)  # fmt: skip

METHODS: Mapping[str, LoraMethod] = {method.name: method for method in _ALL}

FOLDER_RATE = 1e-3
FOLDER_FULL_RATE = 2e-5
"""Learning rates for models of folders, whatever the method; a word of caution is in the docs."""

LEGEND = (
    "Download of a round: b bytes of a number, D sum over layers of outputs and inputs, M of"
    " outputs, r a client's rank, R the sum of ranks, P all parameters, N clients, K of them in a"
    " round. Uploads: bDR, of ffa-lora bMR, of full KbP, of local and central none. rate=X sets a"
    " method's own learning rate."
)


@dataclass(frozen=True)
class LoraSpec:
    """Hold a method as typed, with its parameters; implements `MethodSpec`."""

    text: str
    name: str
    given: Mapping[str, float] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """Return it as it may stand in a file name."""
        return re.sub(r"[^A-Za-z0-9.+-]+", "-", self.text)

    def parameter(self, name: str) -> float:
        """Return a parameter, as given or by default."""
        return self.given.get(name, METHODS[self.name].parameters.get(name, math.nan))

    @property
    def rate(self) -> float:
        """Return the learning rate for the embedded model, as given or the method's own."""
        return self.given.get("rate", METHODS[self.name].rate)


def parse(text: str) -> LoraSpec:
    """Read one method as typed, as in `hetlora:keep=0.9,rate=0.01`.

    Raises:
        UsageError: naming the nearest right one.
    """
    name, _, rest = text.partition(":")
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    given: dict[str, float] = {}
    for piece in filter(None, rest.split(",")):
        key, _, value = piece.partition("=")
        known = ("rate", *METHODS[name].parameters)
        if key not in known:
            raise unknown(f"parameter of {name}", key, known)
        given[key] = _number(name, key, value)
    return LoraSpec(text, name, given)


def _number(method: str, key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"method {method}: {key}={text} is no number") from None
    most = 1.0 if key == "keep" else 1e4
    if not 0.0 < value <= most and not (key == "penalty" and value == 0.0):
        raise UsageError(f"method {method}: {key} must be above 0 and at most {most:g}, got {text}")
    return value
