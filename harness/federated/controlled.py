"""Correct clients' steps by control variates (SCAFFOLD, Karimireddy et al., ICML 2020).

A client steps along g − c_k + c, where c_k is its own and c the server's estimate of the gradient.
After the round c_k⁺ = c_k − c + (x − y_k)/(η·a) (option II), where η·a is what the gradients of its
steps weigh together: η·K without momentum, as in the paper. Then x becomes the mean of the y_k, and
c moves by the changes c_k⁺ − c_k over the number of all clients.

The state of a job holds the server's variate and those of its clients beside the model, so that
devices keep nothing between rounds. A name is a prefix and the name of a tensor of the model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from harness.federated.job import Checkpoint
from harness.federated.prefixed import over, under
from harness.federated.server import FederatedAverage
from harness.records.work import Work

SERVER = "control."
"""Prefix of the server's variate in the state, and in what clients are sent."""

CLIENT = "control@"
"""Begin of the prefixes of clients' variates in the state, and of their changes in updates."""

OWN = "control@own."
"""Prefix of its own variate in what a client is sent."""


def of_client(client: int) -> str:
    """Return the prefix of a client's variate."""
    return f"{CLIENT}{client}."


def uncontrolled(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the model alone."""
    return {k: t for k, t in tensors.items() if not k.startswith((SERVER, CLIENT))}


def with_variates(model: Mapping[str, Tensor], stepped: Collection[str]) -> dict[str, Tensor]:
    """Return the state before the first round; a client's variate is zero till it has trained."""
    zeros = {name: torch.zeros_like(model[name]) for name in stepped}
    return {**model, **over(SERVER, zeros)}


def sent(state: Mapping[str, Tensor], client: int) -> dict[str, Tensor]:
    """Return the model, the server's variate and the client's own."""
    common, mine = under(state, SERVER), under(state, of_client(client))
    mine = mine or {name: torch.zeros_like(t) for name, t in common.items()}
    return {**uncontrolled(state), **over(SERVER, common), **over(OWN, mine)}


def correction(got: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return c − c_k: what a client that was sent this adds to every gradient."""
    own = under(got, OWN)
    return {name: tensor - own[name] for name, tensor in under(got, SERVER).items()}


def changes(
    got: Mapping[str, Tensor], trained: Mapping[str, Tensor], weight_of_gradients: float
) -> dict[str, Tensor]:
    """Return c_k⁺ − c_k = (x − y_k)/(η·a) − c."""
    return {
        name: (got[name] - trained[name]) / weight_of_gradients - tensor
        for name, tensor in under(got, SERVER).items()
    }


class ControlledAverage:
    """Average models, and move the variates of the clients that came and of the server.

    `before` is the state, `population` the number of all clients.
    """

    def __init__(self, total_weight: float, before: Mapping[str, Tensor], population: int) -> None:
        self._average = FederatedAverage(total_weight)
        self._state = dict(before)
        self._population = population

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:
        """Add one client's model and the change of its variate; return the work of that."""
        moved = {name: t for name, t in tensors.items() if name.startswith(CLIENT)}
        for name, change in moved.items():
            before = self._state.get(name)
            self._state[name] = change.clone() if before is None else before + change
            common = SERVER + name.partition(".")[2]
            self._state[common] = self._state[common] + change / self._population
        size = sum(t.numel() * t.element_size() for t in moved.values())
        return self._average.add(uncontrolled(tensors), weight) + Work(bytes_moved=5.0 * size)

    def result(self) -> Checkpoint:
        """Return the state after the round."""
        return Checkpoint({**self._state, **self._average.result().tensors})
