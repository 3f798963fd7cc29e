"""Turn a network into one ONNX graph: images in, one output per task out.

The graph is made by torch's own exporter and then freed of everything but the computation: what the
exporter notes beside each node holds paths of the computer that exported. What the graph is for is
written into its metadata instead.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from models.multitask.network import MultiTaskNet

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
"""The oldest operator set that torch's exporter writes, so that the most runtimes read it."""

FORMAT = 1
"""Version of the graphs' form: names of input, outputs and metadata."""

INPUT = "images"
PREFIX = "mas_edge_harness."
"""Begins the names of our own metadata."""

TOLERANCE = 1e-4
"""Error allowed to a graph, relative to the largest output of the task, or to 1 if that is less."""


class OnnxExportError(Exception):
    """Report that a network cannot be turned into a graph here."""


class _Outputs(nn.Module):
    """Give predictions as a tuple in the order of some tasks; other decoders are left out."""

    def __init__(self, net: MultiTaskNet, tasks: str) -> None:
        super().__init__()
        self.encoder = net.encoder
        self.decoders = nn.ModuleDict({task: net.decoders[task] for task in tasks})

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.encoder(images)
        return tuple(decoder(features) for decoder in self.decoders.values())


def export_onnx(
    net: MultiTaskNet, tasks: str, size: int, facts: Mapping[str, str] | None = None
) -> bytes:
    """Return the graph that predicts some of a network's tasks, as the bytes of an ONNX file.

    The input `images` is (batch, 3, size, size), float32 in [0, 1]; the outputs are named by task
    letter and have the batch first. The batch may have any size.

    Args:
        net: Network; it is left in evaluation mode.
        tasks: Letters of the tasks that get an output, in their order.
        size: Side of the images in pixels.
        facts: What else the metadata say, by name.

    Raises:
        OnnxExportError: if a package is missing or too old, or torch cannot export the network.
    """
    example = torch.zeros(2, 3, size, size)  # a batch of one would be taken for a constant
    try:
        with _quiet():
            program = torch.onnx.export(
                _Outputs(net.eval(), tasks), (example,), None, dynamo=True, verbose=False,
                input_names=[INPUT], output_names=list(tasks), opset_version=OPSET,
                dynamic_shapes={INPUT: {0: torch.export.Dim("batch", min=1)}},
            )  # fmt: skip
    except ModuleNotFoundError as error:
        raise OnnxExportError(f"package {error.name} is missing") from None
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise OnnxExportError(f"torch {torch.__version__} cannot export it: {first}") from error
    if program is None:
        raise OnnxExportError(f"torch {torch.__version__} returns no graph")
    graph = program.model_proto
    stripped(graph)
    describe(graph, {"format": str(FORMAT), "tasks": tasks, **(facts or {})})
    return bytes(graph.SerializeToString())


def stripped(model: ModelProto) -> None:
    """Take out of a graph all notes of the exporter, among them paths and lines of source."""
    graph = model.graph
    del model.metadata_props[:]
    model.doc_string = graph.doc_string = ""
    del graph.metadata_props[:]
    named: Sequence[Any] = [*graph.node, *graph.input, *graph.output, *graph.value_info]
    for part in [*named, *graph.initializer, *model.functions]:
        del part.metadata_props[:]
        part.doc_string = ""


def describe(model: ModelProto, facts: Mapping[str, str]) -> None:
    """Write facts into the metadata of a graph, over those of the same names."""
    old = {p.key: p.value for p in model.metadata_props}
    del model.metadata_props[:]
    for key, value in (old | {PREFIX + name: text for name, text in facts.items()}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value


@dataclass(frozen=True)
class GraphShape:
    """Say what a graph takes and gives: opset, and dimensions by name, a word for a free one."""

    opset: int
    inputs: Mapping[str, tuple[int | str, ...]]
    outputs: Mapping[str, tuple[int | str, ...]]
    facts: Mapping[str, str]


def graph_shape(content: bytes) -> GraphShape:
    """Return what the bytes of an ONNX file say of themselves.

    Raises:
        OnnxExportError: if they are no ONNX model.
    """
    import onnx  # noqa: PLC0415 - only where a graph is looked at
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise OnnxExportError(f"is no valid ONNX model: {error}") from None
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    facts = {p.key.removeprefix(PREFIX): p.value for p in model.metadata_props}
    inputs, outputs = map(_dimensions, (model.graph.input, model.graph.output))
    return GraphShape(opset, inputs, outputs, facts)


def graph_nodes(content: bytes) -> list[tuple[str, str]]:
    """Return kind and name of every node that computes something in the bytes of an ONNX file."""
    import onnx  # noqa: PLC0415

    nodes = onnx.load_from_string(content).graph.node
    return [(str(node.op_type), str(node.name)) for node in nodes if node.op_type != "Constant"]


def _dimensions(values: Iterable[Any]) -> dict[str, tuple[int | str, ...]]:
    """Return the shape of every value by name."""
    return {
        value.name: tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in values
    }


def allowed_error(largest: float) -> float:
    """Return the absolute error allowed to outputs of which `largest` is the largest magnitude."""
    return TOLERANCE * max(1.0, largest)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on packages we do not use from the screen."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
