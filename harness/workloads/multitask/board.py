"""Train clients under the board's own Python: what is sent there, and what it does there.

Everything below `open_clients` is also run by Python 3.6 with PyTorch 1.10, rewritten by
`harness.board_python.dialect`; names that only this Python has are not used in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray

from harness.federated.job import Checkpoint
from harness.federated.observer import Observer
from harness.federated.trainers import RoundRequest
from harness.records.step_checks import StepCheck
from harness.workloads.multitask.data.split import Split
from harness.workloads.multitask.training.batches import MASK, Source
from harness.workloads.multitask.training.client import RoundSettings
from harness.workloads.multitask.training.copy import train_copy
from harness.workloads.multitask.training.feeding import AHEAD, GpuData, pinning_fault
from harness.workloads.multitask.training.step_trial import Material, StepTrials
from harness.workloads.multitask.training.steps import carrying
from harness.workloads.multitask.wire import MultitaskWire
from models.multitask.losses import named
from models.multitask.network import MultiTaskNet, build
from models.multitask.registry import architecture
from models.multitask.tasks import TASKS
from models.multitask.weighting import carries

if TYPE_CHECKING:
    from harness.workloads.multitask.config import MultitaskConfig
    from harness.workloads.multitask.data.store import Store

MODULES = (
    "harness.workloads.multitask.board",
    "models.multitask.small",
    "models.multitask.xception",
)


@dataclass(frozen=True)
class MultitaskBoardClients:
    """Say what the board's Python is sent; implements `harness.workloads.on_board.BoardClients`."""

    config: MultitaskConfig
    store: Store

    @property
    def modules(self) -> Sequence[str]:
        """Return the modules to send."""
        return MODULES

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return network, loss, and what labels mean."""
        return {
            "network": self.config.model,
            "loss": self.config.loss,
            "masked": self.store.masked,
            "normalisation": {task: list(pair) for task, pair in self.store.normalisation.items()},
            "depth_unit_m": self.store.depth_unit_m,
        }

    def arrays(self, client: int) -> Mapping[str, NDArray[Any]]:
        """Return the pictures of a client and the labels of the run's tasks."""
        stored = self.store.split("train", client)
        labels = {"rgb", *(TASKS[task].label for task in self.config.tasks)}
        return {label: stored[label] for label in [*labels, MASK] if label in stored}


@dataclass(frozen=True)
class SentClients:
    """Hold the data of some clients; implements `training.batches.Source`."""

    normalisation: Mapping[str, tuple[float, float]]
    masked: bool
    depth_unit_m: float
    held: dict[int, Mapping[str, NDArray[Any]]] = field(default_factory=dict)

    def split(self, split: Split, client: int) -> Mapping[str, NDArray[Any]]:  # noqa: ARG002
        """Return the arrays of a client; only training data are sent."""
        return self.held[client]

    def length(self, split: Split, client: int) -> int:  # noqa: ARG002
        """Return the images of a client."""
        return len(self.held[client]["rgb"])

    def count(self, split: Split) -> int:  # noqa: ARG002
        """Return how many clients are here."""
        return len(self.held)


class BoardTraining:
    """Serve requests on the board."""

    def __init__(self, facts: Mapping[str, Any], device: torch.device) -> None:
        self._facts = facts
        self._device = device
        pairs = {task: (pair[0], pair[1]) for task, pair in facts["normalisation"].items()}
        self._source = SentClients(pairs, facts["masked"], facts["depth_unit_m"])
        self._brought: Source = self._source
        if device.type == "cuda" and not pinning_fault():
            self._brought = GpuData(self._source, device, AHEAD)
        self._nets: dict[tuple[str, str], MultiTaskNet] = {}

    def serve(
        self, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], told: Observer
    ) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        """Keep data of a client, or let one train; return a header and arrays."""
        if header["do"] == "keep":
            for client in header["drop"]:
                del self._source.held[client]
            self._source.held[header["client"]] = arrays
            return {}, {}
        if header["do"] == "compare":
            settings = MultitaskWire.read_settings(header["settings"])
            return {
                "check": asdict(self._compared(header["units"], header["client"], settings))
            }, {}
        request = RoundRequest(
            header["job"], header["units"], header["round_index"], header["clients"],
            header["seed"], MultitaskWire.read_settings(header["settings"]),
        )  # fmt: skip
        client = header["client"]
        weights = Checkpoint({name: torch.from_numpy(array) for name, array in arrays.items()})
        net = self._net(request)
        update = train_copy(
            net, weights, self._brought, request, client, request.order(client), told
        )
        answer = {"losses": update.losses, "measured": MultitaskWire.measured(update.measured)}
        return answer, {name: tensor.numpy() for name, tensor in update.tensors.items()}

    def _compared(self, tasks: str, client: int, settings: RoundSettings) -> StepCheck:
        material = Material(
            architecture(self._facts["network"]), self._source, [client],
            named(self._facts["loss"], masked=self._facts["masked"]), self._device,
        )  # fmt: skip
        return StepTrials(material, settings).check(settings.training.execution, tasks)

    def _net(self, request: RoundRequest) -> MultiTaskNet:
        tasks, training = "".join(request.units), request.settings.training
        key = tasks, str(training.rule) if carries(training.rule) else ""
        if key not in self._nets:
            loss = named(self._facts["loss"], masked=self._facts["masked"])
            net = build(architecture(self._facts["network"]), tasks, 0, loss).to(self._device)
            self._nets[key] = carrying(net, training.rule).execute_as(training.execution)
        return self._nets[key]


def open_clients(facts: Mapping[str, Any], device: torch.device) -> BoardTraining:
    """Return what serves requests."""
    return BoardTraining(facts, device)
