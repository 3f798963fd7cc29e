"""Define what a method asks of an engine, as far as an engine without a workload knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Job_contra = TypeVar("Job_contra", contravariant=True)
Outcome_co = TypeVar("Outcome_co", covariant=True)


@dataclass(frozen=True)
class Checkpoint:
    """Hold the tensors of one global state by name: a model, or one for each of its clients."""

    tensors: Mapping[str, Tensor]

    @property
    def bytes(self) -> int:
        """Return its size as it travels between server and client."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


@dataclass(frozen=True)
class Traffic:
    """Count the bytes between server and clients."""

    upload_bytes: int = 0
    download_bytes: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.upload_bytes + other.upload_bytes, self.download_bytes + other.download_bytes
        )


class FederatedJob(Protocol):
    """Ask for one federated training; rounds are numbered from `first_round`.

    `units` are what a round of it trains: tasks, adapters, shards.
    """

    @property
    def name(self) -> str:
        """Return what files and marks call it."""
        ...

    @property
    def units(self) -> Sequence[str]:
        """Return the names of what is trained."""
        ...

    @property
    def first_round(self) -> int:
        """Return the number of its first round."""
        ...

    @property
    def last_round(self) -> int:
        """Return the number of rounds finished once it is done."""
        ...


class Engine(Protocol, Generic[Job_contra, Outcome_co]):
    """Run jobs. Methods cannot tell which engine runs theirs."""

    def run(self, job: Job_contra) -> Outcome_co:
        """Carry the job out and return what came of it."""
        ...
