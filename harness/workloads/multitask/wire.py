"""Turn how clients train, and the affinity they measure, into plain values, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np

from harness.core.errors import RefusedError
from harness.federated.server_rules import Adaptive, Additive, Momentum
from harness.federated.trainers import RoundRequest
from harness.workloads.multitask.affinity.matrix import CheckedLooks, ClientAffinity, Matrix
from harness.workloads.multitask.affinity.rule import AffinityRule
from harness.workloads.multitask.protocol import PROTOCOLS
from harness.workloads.multitask.training.client import LocalTraining, RoundSettings
from harness.workloads.multitask.training.joining import (
    AveragedMomentum,
    Controlled,
    Joining,
    Normalised,
    Orthogonal,
)
from harness.workloads.multitask.training.local_rule import (
    GradNorm,
    LocalRule,
    ProjectedGradients,
    Proximal,
)
from models.execution import Execution
from models.multitask.weighting import (
    Balanced,
    DualBalanceRule,
    FamoRule,
    FixedWeights,
    GramRule,
    UncertaintyRule,
)

Plain = Any

_JOININGS: dict[str, type[Joining]] = {
    kind.__name__: kind
    for kind in (Momentum, Adaptive, Additive, Normalised, Controlled, AveragedMomentum, Orthogonal)
}

MOST_VALUE = 1e18
"""Largest affinity that is taken."""

_RULES: dict[str, type[LocalRule]] = {
    rule.__name__: rule
    for rule in (
        Balanced, GradNorm, ProjectedGradients, Proximal, FixedWeights, UncertaintyRule, FamoRule,
        DualBalanceRule, GramRule,
    )
}  # fmt: skip


class MultitaskWire:
    """Implement `harness.workloads.on_devices.WireCodec`."""

    @staticmethod
    def settings(settings: RoundSettings) -> dict[str, Plain]:
        """Return how clients of a round train."""
        training = settings.training
        own = {f.name: getattr(training, f.name) for f in fields(training)}
        rule = training.rule
        return {
            "learning_rate": settings.learning_rate,
            "measuring": settings.measuring,
            "checking": settings.checking,
            "training": {
                **own,
                "rule": _named(rule),
                "affinity": asdict(training.affinity),
                "protocol": training.protocol.name,
                "execution": asdict(training.execution),
                "joining": _named(training.joining),
            },
        }

    @staticmethod
    def read_settings(plain: Mapping[str, Plain]) -> RoundSettings:
        """Return what `settings` wrote.

        Raises:
            KeyError, TypeError, ValueError: if it is nothing of that kind.
        """
        told = dict(plain["training"])
        rule, joining = told["rule"], told["joining"]
        training = LocalTraining(
            **{
                **told,
                "rule": None if rule is None else _RULES[rule[0]](**rule[1]),
                "affinity": AffinityRule(**told["affinity"]),
                "protocol": PROTOCOLS[told["protocol"]],
                "execution": Execution(**told["execution"]),
                "joining": None if joining is None else _JOININGS[joining[0]](**joining[1]),
            }
        )
        checking = plain["checking"]
        return RoundSettings(
            training, float(plain["learning_rate"]), bool(plain["measuring"]),
            None if checking is None else int(checking),
        )  # fmt: skip

    @staticmethod
    def with_batch(settings: RoundSettings, batch_size: int) -> RoundSettings:
        """Return the settings with another batch size."""
        return replace(settings, training=replace(settings.training, batch_size=batch_size))

    @staticmethod
    def measured(found: ClientAffinity | None) -> dict[str, Plain] | None:
        """Return the affinity of one client; None if it was not measured."""
        if found is None:
            return None
        plain = {"mean": _rows(found.mean), "count": found.count}
        if found.checked is not None:
            plain |= {"exact": _rows(found.checked.exact), "linear": _rows(found.checked.linear)}
        return plain

    @staticmethod
    def read_measured(
        plain: Mapping[str, Plain] | None, request: RoundRequest, client: int
    ) -> ClientAffinity | None:
        """Return what `measured` wrote.

        Raises:
            RefusedError: if affinity was asked for and is no matrix of finite numbers.
        """
        if not request.settings.measuring:
            return None
        if not isinstance(plain, dict):
            raise RefusedError("the affinity is missing")
        tasks = len(request.units)
        mean = _read_matrix(plain.get("mean"), tasks)
        count = plain.get("count")
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count < 1 << 53:
            raise RefusedError("the affinity does not say how many look-aheads it is of")
        checked = None
        if request.settings.checking == client:
            both = (_read_matrix(plain.get(name), tasks) for name in ("exact", "linear"))
            checked = CheckedLooks(*both)
        return ClientAffinity(client, mean, count, checked)


def _rows(matrix: Matrix) -> Plain:
    return [[float(x) if math.isfinite(x) else None for x in row] for row in matrix]


def _read_matrix(rows: Plain, tasks: int) -> Matrix:
    """Return what `_rows` wrote.

    Raises:
        RefusedError: if it is no matrix of finite numbers.
    """
    square = (
        isinstance(rows, list)
        and [len(row) if isinstance(row, list) else 0 for row in rows] == [tasks] * tasks
    )
    if not square or not all(_is_number(x) for row in rows for x in row):
        raise RefusedError(f"the affinity is no {tasks}×{tasks} matrix of finite numbers")
    return np.array(rows, dtype=np.float64)


def _named(rule: LocalRule | Joining | None) -> list[Plain] | None:
    return None if rule is None else [type(rule).__name__, asdict(rule)]


def _is_number(value: object) -> bool:
    """Say whether a value is a number that can be reckoned with: NaN compares with nothing."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and -MOST_VALUE <= value <= MOST_VALUE
    )
