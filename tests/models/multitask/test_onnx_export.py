"""Graphs answer as the networks do, say what they are, and give away nothing else."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from models.multitask.network import build
from models.multitask.onnx_export import (
    OPSET,
    OnnxExportError,
    allowed_error,
    export_onnx,
    graph_shape,
)
from models.multitask.onnx_quantise import quantise
from models.multitask.registry import MODELS, architecture

SIZE = 32
SLOW = {"xception": pytest.mark.whole}


def run(graph: bytes, images: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=SLOW.get(name, ())) for name in sorted(MODELS)],
)
def exported(request):
    """Every network with moved batch-norm statistics, and its graph for three of four tasks."""
    net = build(architecture(request.param), "sdnk", 3).train()
    with torch.no_grad():
        net(torch.rand(4, 3, SIZE, SIZE))
    return net, export_onnx(net, "snd", SIZE, {"method": "mas"})


@pytest.mark.parametrize("batch", [1, 5])
def test_a_graph_answers_as_torch_does_for_any_batch(exported, batch) -> None:
    net, graph = exported
    images = torch.rand(batch, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(batch))

    outputs = run(graph, images.numpy())

    with torch.no_grad():
        expected = net.eval()(images)
    for task, output in zip("snd", outputs, strict=True):
        right = expected[task].numpy()
        assert np.abs(output - right).max() <= allowed_error(float(np.abs(right).max()))


def test_opset_and_shapes_are_stated(exported) -> None:
    """One output per task asked for, in that order; class scores may be coarser."""
    shape = graph_shape(exported[1])

    assert shape.opset == OPSET
    assert shape.inputs == {"images": ("batch", 3, SIZE, SIZE)}
    assert list(shape.outputs) == ["s", "n", "d"]
    assert shape.outputs["n"] == ("batch", 3, SIZE, SIZE)
    assert shape.outputs["s"][:2] == ("batch", 18)
    assert shape.facts == {"format": "1", "tasks": "snd", "method": "mas"}


def test_a_graph_holds_no_path_and_no_line_of_source(exported) -> None:
    """The exporter notes where each node comes from, which names the exporting computer."""
    for word in (str(Path(__file__).parents[3]), "site-packages", "network.py", "self.encoder"):
        assert word.encode() not in exported[1], word


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(OnnxExportError, match="no valid ONNX model"):
        graph_shape(b"not a model")


def test_what_torch_cannot_export_is_said(tiny) -> None:
    """A network whose output depends on the values of its input has no graph."""

    class Odd(torch.nn.Module):
        def forward(self, x):
            return x if bool(x.sum() > 0) else -x

    tiny.encoder = Odd()
    with pytest.raises(OnnxExportError, match="cannot export"):
        export_onnx(tiny, "d", SIZE)


@pytest.fixture
def tiny():
    return build(architecture("small"), "d", 0)


def doubling() -> bytes:
    """Return the graph of y = 2·x as a 1×1 convolution of three channels."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [3, 3, 1, 1], (2 * np.eye(3)).ravel())
    node = helper.make_node("Conv", ["images", "w"], ["d"])
    shape = ["batch", 3, 4, 4]
    graph = helper.make_graph(
        [node], "doubling",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("d", TensorProto.FLOAT, shape)],
        [weight],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 10
    return model.SerializeToString()


def test_int8_of_known_numbers_is_off_by_half_a_step() -> None:
    """Input in [0, 1] has steps of 1/255, output in [0, 2] of 2/255; the weight 2 is exact."""
    rng = np.random.default_rng(0)
    images = rng.random((8, 3, 4, 4), dtype=np.float32)
    images[0, 0, 0, :2] = 0.0, 1.0  # the calibration sees the whole range

    graph = quantise(doubling(), [images])

    error = np.abs(run(graph, images)[0] - 2.0 * images).max()
    assert 0.0 < error <= 2.0 * 0.5 / 255 + 0.5 * 2 / 255 + 1e-6
    nodes = [node.op_type for node in onnx.load_from_string(graph).graph.node]
    assert "DequantizeLinear" in nodes
    assert graph_shape(graph).facts["calibration_images"] == "8"


def test_int8_without_calibration_is_refused() -> None:
    with pytest.raises(ValueError, match="no calibration images"):
        quantise(doubling(), [])


@pytest.mark.parametrize(("largest", "allowed"), [(0.0, 1e-4), (0.5, 1e-4), (20.0, 2e-3)])
def test_the_tolerance_grows_with_outputs_above_one(largest, allowed) -> None:
    assert allowed_error(largest) == pytest.approx(allowed)
