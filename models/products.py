"""Let a GPU multiply fp32 numbers in TF32 for a while; passes of tests stay exact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from models.execution import Execution


@contextmanager
def products(execution: Execution) -> Iterator[None]:
    """Take TF32 for products and convolutions of a step, forward and backward, if it asks for it.

    What held before holds again afterwards.
    """
    if execution.precision != "tf32":
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = True
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
