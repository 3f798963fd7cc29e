"""Carry out the ways of joining clients' models: what a state holds, travels and comes to.

The state of a job is the model by state-dict name and, beside it, what the server or the clients
remember. A joiner knows which is which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.federated import controlled, velocities
from harness.federated.job import Checkpoint
from harness.federated.normalised import STEPS, NormalisedAverage
from harness.federated.orthogonal import OrthogonalAverage
from harness.federated.prefixed import over, under
from harness.federated.server import FederatedAverage
from harness.federated.server_rules import ServerRule, at_rest, stepped
from harness.federated.task import Aggregator
from harness.records.work import Work
from harness.workloads.multitask.training.joining import (
    AveragedMomentum,
    Controlled,
    Joining,
    Normalised,
    Orthogonal,
)

Tensors = Mapping[str, Tensor]

SERVER = "server."
"""Prefix of what the server alone remembers."""


@dataclass(frozen=True)
class Joiner:
    """Average models weighted by the clients' images (FedAvg); others depart from it.

    `parameters` are the names of the tensors that steps change, `population` counts all clients.
    """

    parameters: Sequence[str]
    population: int

    def begin(self, model: Tensors) -> Tensors:
        """Return the state before the first round."""
        return model

    def model(self, state: Tensors) -> Tensors:
        """Return the model of a state."""
        return state

    def sent(self, state: Tensors, client: int) -> Tensors:  # noqa: ARG002 - all are alike
        """Return what a client gets."""
        return self.model(state)

    def told(self, model: Tensors, client: int) -> Tensors:  # noqa: ARG002 - all are alike
        """Return tensors like those that a client sends back."""
        return model

    def aggregator(self, expected_weight: float, state: Tensors) -> Aggregator:  # noqa: ARG002
        """Return what joins the models of a round."""
        return FederatedAverage(expected_weight)


@dataclass(frozen=True)
class SteppingJoiner(Joiner):
    """Let the server step along the mean change; what it remembers never travels."""

    rule: ServerRule

    def begin(self, model: Tensors) -> Tensors:
        """Return the model and the rule's memory."""
        return {**model, **_flat(at_rest(self.rule, model, self.parameters))}

    def model(self, state: Tensors) -> Tensors:
        """Return what the server does not keep to itself."""
        return {name: t for name, t in state.items() if not name.startswith(SERVER)}

    def aggregator(self, expected_weight: float, state: Tensors) -> Aggregator:
        """Return what averages and then steps."""
        return _Stepping(FederatedAverage(expected_weight), self, state)


class _Stepping:
    """Step from a state along the mean change."""

    def __init__(self, average: FederatedAverage, joiner: SteppingJoiner, state: Tensors) -> None:
        self._average = average
        self._joiner = joiner
        self._state = state

    def add(self, tensors: Tensors, weight: float) -> Work:
        """Add one client's model; return the work of that."""
        return self._average.add(tensors, weight)

    def result(self) -> Checkpoint:
        """Return the model after the step, and what the rule remembers then."""
        rule = self._joiner.rule
        memory = {what: under(self._state, f"{SERVER}{what}.") for what in rule.remembers}
        before, mean = self._joiner.model(self._state), self._average.result().tensors
        after, memory = stepped(rule, before, mean, memory)
        return Checkpoint({**after, **_flat(memory)})


def _flat(memory: Mapping[str, Tensors]) -> dict[str, Tensor]:
    return {f"{SERVER}{what}.{name}": t for what, of in memory.items() for name, t in of.items()}


class NormalisedJoiner(Joiner):
    """Average changes per step; an update tells of how many steps it is."""

    def told(self, model: Tensors, client: int) -> Tensors:  # noqa: ARG002 - all are alike
        """Return the model and the number of steps."""
        return {**model, STEPS: torch.zeros((), dtype=torch.float64)}

    def aggregator(self, expected_weight: float, state: Tensors) -> Aggregator:
        """Return the average by steps."""
        return NormalisedAverage(expected_weight, state, self.parameters)


class ControlledJoiner(Joiner):
    """Keep control variates of the server and of the clients; they travel with the models."""

    def begin(self, model: Tensors) -> Tensors:
        """Return the model and a server's variate of zeros."""
        return controlled.with_variates(model, self.parameters)

    def model(self, state: Tensors) -> Tensors:
        """Return the model alone."""
        return controlled.uncontrolled(state)

    def sent(self, state: Tensors, client: int) -> Tensors:
        """Return the model, the server's variate and the client's own."""
        return controlled.sent(state, client)

    def told(self, model: Tensors, client: int) -> Tensors:
        """Return the model and the change of the client's variate."""
        own = {name: model[name] for name in self.parameters}
        return {**model, **over(controlled.of_client(client), own)}

    def aggregator(self, expected_weight: float, state: Tensors) -> Aggregator:
        """Return the average that moves variates."""
        return controlled.ControlledAverage(expected_weight, state, self.population)


class MovingJoiner(Joiner):
    """Average velocities with the models; both travel."""

    def begin(self, model: Tensors) -> Tensors:
        """Return the model at rest."""
        return {**model, **velocities.at_rest(model, self.parameters)}

    def model(self, state: Tensors) -> Tensors:
        """Return the model alone."""
        return velocities.without(state)

    def sent(self, state: Tensors, client: int) -> Tensors:  # noqa: ARG002 - all are alike
        """Return the model and the mean velocities."""
        return state

    def told(self, model: Tensors, client: int) -> Tensors:  # noqa: ARG002 - all are alike
        """Return the model and a velocity of each parameter."""
        return self.begin(model)


@dataclass(frozen=True)
class OrthogonalJoiner(MovingJoiner):
    """Average velocities too, and step along the orthogonalised mean change of the model."""

    stretch: float

    def aggregator(self, expected_weight: float, state: Tensors) -> Aggregator:
        """Return what averages and then steps."""
        return OrthogonalAverage(expected_weight, state, self.parameters, self.stretch)


def joiner(joining: Joining | None, parameters: Sequence[str], population: int) -> Joiner:
    """Return what carries a way of joining out."""
    if joining is None:
        return Joiner(parameters, population)
    if isinstance(joining, Normalised):
        return NormalisedJoiner(parameters, population)
    if isinstance(joining, Controlled):
        return ControlledJoiner(parameters, population)
    if isinstance(joining, Orthogonal):
        return OrthogonalJoiner(parameters, population, joining.stretch)
    if isinstance(joining, AveragedMomentum):
        return MovingJoiner(parameters, population)
    return SteppingJoiner(parameters, population, joining)
