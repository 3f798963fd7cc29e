"""Let the clients of a round train in a board's own Python."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from harness.board_python.process import BoardProcess, usable_program
from harness.core.errors import BoardPythonError, UsageError
from harness.federated.observer import Observer
from harness.federated.trainers import RoundRequest, Update, check_finite, naming
from harness.records.step_checks import StepCheck
from harness.records.work import Work
from harness.workloads.base import OpenedData
from harness.workloads.on_board import BoardClients, TrainsOnBoard
from harness.workloads.on_devices import WireCodec
from harness.workloads.registry import find_workload

if TYPE_CHECKING:
    from torch import Tensor

    from harness.config import RunConfig
    from harness.federated.job import Checkpoint
    from harness.federated.task import JobWork
    from harness.running.target import Target

KEPT_BYTES = 256 * 2**20
"""Size of the clients' data that the other process keeps; the rest is sent again."""

Answer = tuple[Mapping[str, Any], Mapping[str, "Tensor"]]


class Board:
    """Hold the board's Python for all cells of a run."""

    def __init__(self, process: BoardProcess, clients: BoardClients, wire: WireCodec) -> None:
        self.facts = process.facts
        self.pid = process.pid
        self.peak_memory_bytes = 0
        self.wire = wire
        self._process = process
        self._clients = clients
        self._kept: OrderedDict[int, int] = OrderedDict()

    @property
    def words(self) -> str:
        """Return what trains, in words."""
        where = self.facts.get("gpu", "the processor")
        return f"Python {self.facts['python']}, PyTorch {self.facts['torch']}, {where}"

    def compare(self, client: int, units: str, settings: Any) -> StepCheck:  # noqa: ANN401
        """Let a way of executing steps be compared with plain fp32 there, on data of a client."""
        self.provide(client)
        plain = self.wire.settings(settings)
        self._process.write({"do": "compare", "client": client, "units": units, "settings": plain})
        header, _ = self._process.read()
        return StepCheck(**header["check"])

    def trainers(self, observer: Observer) -> BoardTrainers:
        """Return what trains the clients of a cell."""
        return BoardTrainers(self, observer)

    def provide(self, client: int) -> None:
        """Send a client's data if the process lacks them; it forgets the oldest for them."""
        if client in self._kept:
            self._kept.move_to_end(client)
            return
        arrays = dict(self._clients.arrays(client))
        size = sum(array.nbytes for array in arrays.values())
        dropped = []
        while self._kept and sum(self._kept.values()) + size > KEPT_BYTES:
            dropped.append(self._kept.popitem(last=False)[0])
        self._process.write({"do": "keep", "client": client, "drop": dropped}, arrays)
        self._process.read()
        self._kept[client] = size

    def train(
        self, weights: Checkpoint, request: RoundRequest, client: int, observer: Observer
    ) -> Answer:
        """Let a client train from a state; return the answer and its tensors."""
        plain = {
            "do": "train", "client": client, "job": request.job, "units": list(request.units),
            "round_index": request.round_index, "clients": list(request.clients),
            "seed": request.seed, "settings": self.wire.settings(request.settings),
        }  # fmt: skip
        tensors = weights.tensors.items()
        self._process.write(plain, {name: tensor.numpy() for name, tensor in tensors})
        return self._answer(observer)

    def _answer(self, observer: Observer) -> Answer:
        """Return the last frame of a training; those before it tell of phases and work."""
        import torch  # noqa: PLC0415 - help and names need no torch

        phases: list[AbstractContextManager[None]] = []
        while True:
            header, arrays = self._process.read()
            if "enter" in header:
                phases.append(observer.phase(str(header["enter"])))
                phases[-1].__enter__()
            elif "leave" in header:
                phases.pop().__exit__(None, None, None)
            elif "work" in header:
                forwards, trained, moved = header["work"]
                observer.work(Work(forwards, trained, moved))
            else:
                peak = int(header["peak_memory_bytes"])
                self.peak_memory_bytes = max(self.peak_memory_bytes, peak)
                return header, {name: torch.from_numpy(array) for name, array in arrays.items()}


class BoardTrainers:
    """Train every client there, one after another; implements `Trainers`."""

    def __init__(self, board: Board, observer: Observer) -> None:
        self._board = board
        self._observer = observer

    def train(self, work: JobWork, weights: Checkpoint, request: RoundRequest) -> Iterator[Update]:
        """Yield every client's update as soon as it has trained.

        Raises:
            BoardPythonError: if the process fails or answers with something else.
        """
        for client in request.clients:
            where = request.where(client)
            with (
                self._observer.phase("train", round_index=request.round_index, client=client),
                naming(where),
            ):
                self._board.provide(client)
                own = work.sent(weights, client)
                answer, tensors = self._board.train(own, request, client, self._observer)
            expected = work.expected(client)
            if _forms(tensors) != _forms(expected):
                raise BoardPythonError(f"other tensors came back than {where} has")
            losses = {str(unit): float(loss) for unit, loss in answer["losses"].items()}
            check_finite(losses, where)
            measured = self._board.wire.read_measured(answer["measured"], request, client)
            yield Update(client, {name: tensors[name] for name in expected}, losses, measured)


def _forms(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Any, ...]]:
    return {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}


@contextlib.contextmanager
def board_of_run(
    config: RunConfig, target: Target, opened: OpenedData
) -> Iterator[tuple[Board | None, OpenedData]]:
    """Start the board's Python if the run asks for one, and end it.

    With it come the run's data, once that Python computes in the run's way what plain fp32 does.

    Raises:
        StepRefusedError: if it computes something else.
        UsageError: if the workload, or a device that is not this host, cannot be trained so.
        BoardPythonError: if that Python cannot train.
    """
    if not config.board_python:
        yield None, opened
        return
    if not target.matches:
        raise UsageError(
            f"--board-python: this host is no {target.profile.name}, whose figures are modelled",
            "Leave out --board-python, or name this host: --device auto.",
        )
    if not isinstance(opened, TrainsOnBoard):
        raise UsageError(
            f"--board-python: workload {config.workload} trains in this program alone",
            "Leave out --board-python.",
        )
    clients = opened.for_board()
    program = usable_program(config.board_python)
    with BoardProcess(program, clients, target.threads, config.accelerator) as process:
        board = Board(process, clients, find_workload(config.workload).wire)
        yield board, opened.on_board(board)
