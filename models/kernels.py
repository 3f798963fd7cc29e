"""Count the operations of a training step as a GPU would be given them, one by one.

On a GPU the processor issues every operation by itself; each computes, or moves memory, or is over
before the next one is issued. What each of them has to do follows from its shapes, so the real step
is taken once on the processor and its operations are watched: forward, backward and optimizer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

NOTHING = ("empty", "detach", "alias", "size", "stride", "is_", "sym_", "_local_scalar")
"""How names of operations begin for which no kernel is launched, beside those that make views."""


@dataclass(frozen=True)
class Kernel:
    """Hold what a kernel has to do, and how many do the same.

    `flop` counts a multiplication and an addition as two; `moved_bytes` are the tensors read and
    written, each once.
    """

    flop: float
    moved_bytes: float
    count: int


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: Counter[tuple[float, float]] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operation
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        given = dict(kwargs or {})
        result = func(*args, **given)
        if not _launches(func):
            return result
        count = flop_registry.get(func.overloadpacket)
        flop = float(count(*args, **given, out_val=result)) if count else 0.0
        tensors = [leaf for leaf in tree_leaves((args, given, result)) if isinstance(leaf, Tensor)]
        moved = float(sum(t.numel() * t.element_size() for t in tensors))
        parts = _parts(func, args)
        self.seen[flop / parts, moved / parts] += parts
        return result


def _launches(func: Any) -> bool:  # noqa: ANN401
    name = func.overloadpacket.__name__
    return func.namespace == "aten" and not func.is_view and not name.startswith(NOTHING)


def _parts(func: Any, args: tuple[Any, ...]) -> int:  # noqa: ANN401
    """Return by how many kernels an operation is done.

    A convolution goes back by one for its weights, and one for what came in if that is wanted.
    """
    if func.overloadpacket is not torch.ops.aten.convolution_backward:
        return 1
    return max(1, sum(map(bool, args[-1][:2])))


def kernels_of(step: Callable[[], object]) -> list[Kernel]:
    """Take a step on the processor and return the kernels that it is on a GPU."""
    watch = _Watch()
    with watch:
        step()
    return [Kernel(flop, moved, count) for (flop, moved), count in watch.seen.items()]
