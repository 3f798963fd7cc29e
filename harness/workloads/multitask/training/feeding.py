"""Bring a client's images and labels to a GPU as they are stored, and make batches of them there.

A GPU waits while the processor reads, converts and copies. Stored numbers are a quarter of what
they become as tensors, so they travel as they are: once for a whole run where the GPU's memory
holds them, else from pinned memory on a stream of their own, one group of batches ahead of the
steps. Which rows make a batch is not decided here.

Source: PyTorch documentation, CUDA semantics, "Use pinned memory buffers"; `Tensor.record_stream`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.core.errors import first_line
from harness.workloads.multitask.data.split import Split

KEPT, AHEAD, COPIED = "kept", "prefetched", "copied"
"""Ways of bringing data to a GPU: held there, copied while the step before runs, copied as read."""

TRAIN: Split = "train"

Rows = NDArray[np.int64]
Batch = tuple[Tensor, dict[str, Tensor]]
Stored = Mapping[str, Tensor]
"""Label → rows as they are stored, whole numbers of 16 bits without their sign's meaning."""

Convert = Callable[[Stored], Batch]
Arrays = Mapping[str, NDArray[Any]]


class Copies(Protocol):
    """Be what copies beside the steps: `CudaCopies`, or a fake of it."""

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return memory of the processor that the GPU can fetch by itself."""
        ...

    def beside(self) -> Any:  # noqa: ANN401 - a context
        """Let what is enqueued within it run beside the steps."""
        ...

    def mark(self) -> Any:  # noqa: ANN401 - an event
        """Return a mark behind all that was enqueued beside the steps so far."""
        ...

    def take(self, mark: Any, tensors: Iterable[Tensor]) -> None:  # noqa: ANN401
        """Let the steps wait for a mark; these tensors are theirs from then on."""
        ...


class CudaCopies:
    """Copy on a stream of its own.

    Tensors made there belong to that stream: without `record_stream` the allocator would hand their
    memory to the next copy while a step still reads it.
    """

    def __init__(self) -> None:
        """Make the stream."""
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return pinned memory; torch keeps it until the copies from it are over."""
        return torch.empty(tuple(shape), dtype=dtype, pin_memory=True)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Enqueue on the own stream."""
        with torch.cuda.stream(self._stream):
            yield

    def mark(self) -> Any:  # noqa: ANN401
        """Return an event of the own stream."""
        return self._stream.record_event()

    def take(self, mark: Any, tensors: Iterable[Tensor]) -> None:  # noqa: ANN401
        """Let the present stream wait, and the allocator know that it uses the tensors."""
        present = torch.cuda.current_stream()
        present.wait_event(mark)
        for tensor in tensors:
            tensor.record_stream(present)


class Feed(Protocol):
    """Be what makes batches of rows on the GPU."""

    def batches(self, rows: Iterable[Rows], convert: Convert) -> Iterator[Batch]:
        """Yield a batch for every group of rows, in their order."""
        ...


class KeptFeed:
    """Pick rows of what lies on the GPU."""

    def __init__(self, stored: Stored, first: int, copies: Copies) -> None:
        """Take tensors of all clients and the row at which this client begins."""
        self._stored = stored
        self._first = first
        self._copies = copies

    def batches(self, rows: Iterable[Rows], convert: Convert) -> Iterator[Batch]:
        """Yield batches; only row numbers travel."""
        device = next(iter(self._stored.values())).device
        for own in rows:
            numbers = self._copies.empty(own.shape, torch.int64)
            np.add(own, self._first, out=numbers.numpy())
            there = numbers.to(device, non_blocking=True)
            yield convert({k: t.index_select(0, there) for k, t in self._stored.items()})


class AheadFeed:
    """Copy the next rows while the step before still runs."""

    def __init__(self, arrays: Arrays, device: torch.device, copies: Copies) -> None:
        """Take the arrays of one client's labels."""
        self._arrays = arrays
        self._device = device
        self._copies = copies

    def batches(self, rows: Iterable[Rows], convert: Convert) -> Iterator[Batch]:
        """Yield batches, each a group after its copy was begun."""
        coming = None
        for own in rows:
            sent = self._sent(own, convert)
            if coming is not None:
                yield self._taken(*coming)
            coming = sent
        if coming is not None:
            yield self._taken(*coming)

    def _sent(self, rows: Rows, convert: Convert) -> tuple[Batch, Any]:
        here = {label: self._read(array, rows) for label, array in self._arrays.items()}
        with self._copies.beside():
            there = {k: t.to(self._device, non_blocking=True) for k, t in here.items()}
            return convert(there), self._copies.mark()

    def _read(self, array: NDArray[Any], rows: Rows) -> Tensor:
        whole = as_torch(array[:0])
        buffer = self._copies.empty((len(rows), *whole.shape[1:]), whole.dtype)
        # any other mode than "raise" writes where it shall without a copy in between
        np.take(signed(array), rows, 0, out=buffer.numpy(), mode="clip")
        return buffer

    def _taken(self, batch: Batch, mark: Any) -> Batch:  # noqa: ANN401
        images, targets = batch
        self._copies.take(mark, (images, *targets.values()))
        return batch


def signed(array: NDArray[Any]) -> NDArray[Any]:
    """Return unsigned numbers of 16 bits under the name of signed ones, which older torch knows."""
    return array.view(np.int16) if array.dtype == np.uint16 else array


def as_torch(array: NDArray[Any]) -> Tensor:
    """Return a tensor of numbers as they are stored, with memory of its own."""
    return torch.from_numpy(np.array(signed(array)))


class GpuData:
    """Serve a source to a GPU in the way that holds for a run; implements `batches.Source`.

    What it serves is brought there by `kept` or `prefetched`; clients' training data are kept once
    `fill` was called, all other splits are copied ahead of their batches.
    """

    def __init__(
        self,
        source: Any,  # noqa: ANN401 - `batches.Source`, whose module imports this one
        device: torch.device,
        way: str,
        copies: Copies | None = None,
        clients: Sequence[int] | None = None,
    ) -> None:
        """Take a `batches.Source`; nothing is read yet. `clients` train here, by default all."""
        self._source = source
        self._device = device
        self._way = way
        self._copies = copies or CudaCopies()
        self._kept: dict[str, Tensor] = {}
        self._clients = clients
        self._first: dict[int, int] = {}

    @property
    def normalisation(self) -> Mapping[str, tuple[float, float]]:
        """Return those of the source."""
        return self._source.normalisation  # type: ignore[no-any-return]

    @property
    def masked(self) -> bool:
        """Say what the source says."""
        return bool(self._source.masked)

    @property
    def depth_unit_m(self) -> float:
        """Return that of the source."""
        return float(self._source.depth_unit_m)

    def split(self, split: Split, client: int) -> Arrays:
        """Return arrays as they are stored."""
        return self._source.split(split, client)  # type: ignore[no-any-return]

    def length(self, split: Split, client: int) -> int:
        """Return the images of a client."""
        return int(self._source.length(split, client))

    def count(self, split: Split) -> int:
        """Return the clients of a split."""
        return int(self._source.count(split))

    def fill(self, labels: Sequence[str]) -> None:
        """Bring these labels of the clients to the GPU, if they are to be kept there."""
        if self._way != KEPT or self._first:
            return
        clients = range(self.count(TRAIN)) if self._clients is None else self._clients
        first, end = {}, 0
        for client in clients:
            first[client] = end
            end += self.length(TRAIN, client)
        for label in labels:
            for client, at in first.items():
                own = as_torch(self.split(TRAIN, client)[label])
                if label not in self._kept:
                    shape = (end, *own.shape[1:])
                    self._kept[label] = torch.empty(shape, dtype=own.dtype, device=self._device)
                self._kept[label][at : at + len(own)].copy_(own)
        self._first = first

    def feed(self, split: Split, client: int, labels: Sequence[str]) -> Feed:
        """Return what makes batches of some labels of a client."""
        known = split == TRAIN and client in self._first
        if known and all(label in self._kept for label in labels):
            own = {label: self._kept[label] for label in labels}
            return KeptFeed(own, self._first[client], self._copies)
        arrays = self.split(split, client)
        return AheadFeed({label: arrays[label] for label in labels}, self._device, self._copies)


def placed(values: Tensor, device: torch.device) -> Tensor:
    """Return a small tensor of the processor where it is needed, without a wait for the GPU."""
    if device.type != "cuda" or pinning_fault():
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


@cache  # the oldest Python that reads this has no `cache`
def pinning_fault() -> str:
    """Return why memory of this process cannot be pinned; empty if it can. Tried once."""
    try:
        torch.empty(1, pin_memory=True)
    except RuntimeError as error:
        return first_line(error)
    return ""
