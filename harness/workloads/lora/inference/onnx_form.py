"""Export the embedded model, merged, to ONNX, and answer with ONNX Runtime."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec

import numpy as np
import torch
from torch import nn

from models.lora.decoder import DecoderNet

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
PARITY = 1e-3
"""Logits of both may differ by so much."""


def why_not(net: nn.Module) -> str:
    """Return why a model is not exported; empty if it can be."""
    if not isinstance(net, DecoderNet):
        return "models of folders are exported by their own tools (optimum), not here"
    missing = [name for name in PACKAGES if find_spec(name) is None]
    return f"needs the packages {', '.join(missing)} (extra infer)" if missing else ""


def exported(net: nn.Module) -> bytes:
    """Return the graph of a model as it is now; rows and tokens are free."""
    sample = torch.zeros(1, 8, dtype=torch.int64)
    tokens = torch.export.Dim("tokens", min=2, max=net.shape.context)  # type: ignore[union-attr,arg-type]
    logging.disable(logging.WARNING)  # of packages that are not needed
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            net.eval(), (sample,), input_names=["ids"], output_names=["logits"], dynamo=True,
            dynamic_shapes=({1: tokens},), verbose=False,
        )  # fmt: skip
    logging.disable(logging.NOTSET)
    assert program is not None
    stream = io.BytesIO()
    program.save(stream)  # type: ignore[arg-type]
    return stream.getvalue()


class OnnxDecoder:
    """Answer with ONNX Runtime on the processor."""

    def __init__(self, graph: bytes, threads: int) -> None:
        import onnxruntime  # noqa: PLC0415 - extra infer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )

    def logits(self, ids: Sequence[int]) -> np.ndarray:
        """Return tokens × vocabulary."""
        found: np.ndarray = self._session.run(["logits"], {"ids": np.array([ids])})[0][0]
        return found

    def greedy(self, prompt: Sequence[int], most: int, end: int) -> list[int]:
        """Return the likeliest answer token by token."""
        ids = list(prompt)
        for _ in range(most):
            ids.append(int(self.logits(ids)[-1].argmax()))
            if ids[-1] == end:
                break
        return ids[len(prompt) :]
