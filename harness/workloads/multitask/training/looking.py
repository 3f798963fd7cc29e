"""Measure affinity beside a client's training steps, sharing passes with them where it can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from harness.federated.observer import Observer
from harness.federated.random_streams import child_stream
from harness.workloads.multitask.affinity.matrix import CheckedLooks, Matrix
from harness.workloads.multitask.affinity.measure import (
    Gradient,
    LookAhead,
    MeasuredStep,
    affinity,
    look_ahead,
)
from harness.workloads.multitask.affinity.projected import projected
from harness.workloads.multitask.affinity.proximal import StepInParts
from harness.workloads.multitask.affinity.rule import PROJECTED, PROXIMAL
from harness.workloads.multitask.training.batches import Batch
from harness.workloads.multitask.work import balances, checking, looking_ahead, shares_gradients
from models.multitask.network import MultiTaskNet
from models.multitask.weighting import Balanced
from models.products import products

if TYPE_CHECKING:
    from harness.workloads.multitask.training.client import LocalTraining


class Looking:
    """Look ahead on batches of one client's round; if `checks`, linear looks are taken exactly too.

    `order` is the client's random stream, of which a child decides who takes its turn when.
    """

    def __init__(
        self,
        net: MultiTaskNet,
        training: LocalTraining,
        ahead: LookAhead,
        order: np.random.Generator,
        observer: Observer,
        *,
        checks: bool,
    ) -> None:
        self._net = net
        self._tasks = "".join(net.tasks)
        self._ahead = ahead
        self._observer = observer
        self._execution = training.execution
        self._balanced = balances(training.rule)
        self._balance = training.rule if isinstance(training.rule, Balanced) else None
        self._shares = shares_gradients(training.rule)
        # only who takes turns draws them: other rules' children of this stream stay what they are
        self._turns = child_stream(order) if training.affinity.trains else order
        self._checks = checks
        self._exact: list[Matrix] = []

    def look(
        self, batch: Batch, velocity: Gradient | None, looks: list[Matrix]
    ) -> dict[str, Tensor] | None:
        """Append what a batch says; return its losses if its training gradients are there now.

        Plain and balanced steps have the gradients of every task at hand; under another rule they
        are computed for the look-ahead alone, and the training step is still to be taken: None.
        """
        mode = self._ahead.mode
        if self._shares and mode == PROXIMAL:
            return self._in_parts(batch, looks)
        if not self._shares or mode == PROJECTED:
            with self._observer.phase("affinity"):
                looks.append(self._alone(batch, velocity))
                self._count(len(batch[0]))
                if self._checks:
                    self._exact.append(look_ahead(self._net, batch, self._exactly, velocity))
                    self._count_check(len(batch[0]))
            return None
        with products(self._execution):
            step = MeasuredStep(self._net, batch, self._balance)
        with self._observer.phase("affinity"):
            apart = step.apart(with_sum=mode == "linear" and not self._checks)
            looks.append(affinity(self._net, batch, self._ahead, apart, velocity))
            self._count(len(batch[0]))
            if self._checks:
                self._exact.append(affinity(self._net, batch, self._exactly, apart, velocity))
                self._count_check(len(batch[0]))
        return step.losses

    def checked(self, linear: Sequence[Matrix]) -> CheckedLooks | None:
        """Return the means of look-aheads that were taken in both ways; None if none were."""
        if not self._exact:
            return None
        return CheckedLooks(np.mean(self._exact, axis=0), np.mean(linear, axis=0))

    def _in_parts(self, batch: Batch, looks: list[Matrix]) -> dict[str, Tensor]:
        """Take the step's passes part by part; the first is the training step's own."""
        step = self._parts(batch)
        with self._observer.phase("affinity"):
            looks.append(step.finish())
            self._count(len(batch[0]))
        return step.give()

    def _alone(self, batch: Batch, velocity: Gradient | None) -> Matrix:
        if self._ahead.mode == PROJECTED:
            return projected(self._net, batch)
        if self._ahead.mode == PROXIMAL:
            return self._parts(batch).finish()
        return look_ahead(self._net, batch, self._ahead, velocity)

    def _parts(self, batch: Batch) -> StepInParts:
        turns = self._turns.permutation(len(self._tasks)).tolist()
        return StepInParts(self._net, batch, self._ahead, turns, self._balance)

    @property
    def _exactly(self) -> LookAhead:
        """Return the same step tried exactly; a check leaves no trace in any statistic."""
        return replace(self._ahead, mode="exact", moves_statistics=False)

    def _count(self, images: int) -> None:
        rounded = self._execution.reduced
        self._observer.work(
            looking_ahead(self._tasks, images, self._ahead.mode, shares=self._shares,
                          rounded=rounded, balanced=self._balanced)
        )  # fmt: skip

    def _count_check(self, images: int) -> None:
        rounded = self._execution.reduced
        self._observer.work(checking(self._tasks, images, shares=self._shares, rounded=rounded))
