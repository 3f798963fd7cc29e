"""Which provider has which nodes: by ONNX Runtime here, by recorded profiles of cards elsewhere.

The recorded events have the form that ONNX Runtime documents (Profiling Tools) and writes here; a
card was not at hand.
"""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from harness.core.errors import InferenceFailedError
from harness.workloads.multitask.inference import onnx_session
from harness.workloads.multitask.inference.deployment import Deployment, Model
from harness.workloads.multitask.inference.measuring import Ready, Variant
from harness.workloads.multitask.inference.onnx_session import OnnxModel
from harness.workloads.multitask.inference.placement import (
    GraphNode,
    Placement,
    executed_nodes,
    placed,
    read_profile,
)
from harness.workloads.multitask.inference.preparing import _answering, _Tried

CPU, CUDA, TRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


def event(name, kind, provider, index, **more):
    about = {"op_name": kind, "provider": provider, "node_index": str(index), **more}
    return {"cat": "Node", "pid": 7, "tid": 7, "dur": 8, "ts": 9, "ph": "X",
            "name": f"{name}_kernel_time", "args": about}  # fmt: skip


ON_A_CARD = [
    {"cat": "Session", "pid": 7, "tid": 7, "dur": 4, "ts": 4, "ph": "X", "name": "model_run",
     "args": {}},
    event("Memcpy_token_1", "MemcpyFromHost", CUDA, 9),
    event("conv", "FusedConv", CUDA, 0),
    {**event("conv", "Conv", CUDA, 0), "name": "conv_fence_before"},
    event("size", "Shape", CPU, 1),
    event("wave", "Sin", CPU, 2),
    event("Memcpy_token_2", "MemcpyToHost", CUDA, 10),
]  # fmt: skip
"""One query of a graph of three nodes, as a release before 1.24 tells it."""

ENGINE = "TRTKernel_graph_main_graph_1536_0"
GIVEN = [GraphNode(TRT, "Conv", f"conv_{i}") for i in range(5)] + [GraphNode(CPU, "Sin", "wave")]
ONE_ENGINE = [
    event(f"TensorrtExecutionProvider_{ENGINE}_0", ENGINE, TRT, 6),
    event("wave", "Sin", CPU, 5),
]


def test_a_profile_names_what_the_processor_has_and_counts_copies() -> None:
    """However many queries there were, each node counts once; fences are no work."""
    found = placed(CUDA, None, executed_nodes(ON_A_CARD * 3))
    assert found.told_by == "profile"
    assert found.nodes == found.executed == {CUDA: 1, CPU: 2}
    assert found.copies == 2
    assert found.left_out is None
    assert found.words == (
        f"2 of 3 nodes are on {CPU}, not on {CUDA}: Shape size, Sin wave; 2 copies in between"
    )
    told = json.loads(json.dumps(found.as_dict()))
    assert told["elsewhere"] == [[CPU, "Shape", "size"], [CPU, "Sin", "wave"]]


def test_what_is_compiled_as_a_whole_is_counted_by_the_nodes_given_to_it() -> None:
    """Five of six nodes in one engine; a node of the file that nobody has was left out."""
    file_nodes = [*((n.kind, n.name) for n in GIVEN), ("Identity", "same"), ("Identity", "")]
    found = placed(TRT, GIVEN, executed_nodes(ONE_ENGINE), file_nodes)
    assert (found.told_by, found.nodes) == ("assignment", {TRT: 5, CPU: 1})
    assert found.executed == {TRT: 1, CPU: 1}
    assert found.words == f"1 of 6 nodes is on {CPU}, not on {TRT}: Sin wave"
    assert found.left_out == ["Identity same"]
    assert (found.compiled_only, found.idle) == ([], ())


def test_what_was_compiled_and_never_executed_is_named() -> None:
    found = placed(TRT, GIVEN, executed_nodes(ONE_ENGINE[1:]))
    assert found.compiled_only == [TRT]
    own = [node for node in GIVEN if node.provider == TRT]
    assert f"what {TRT} has was compiled and not executed: {own[0].words}, " in found.words
    assert found.words.endswith("and 1 more")
    assert found.as_dict()["idle"] == [[TRT, node.kind, node.name] for node in own]


def test_of_many_nodes_the_first_are_shown_and_all_recorded() -> None:
    many = [GraphNode(CPU, "Sin", f"n{i}") for i in range(9)]
    found = placed(CUDA, [GraphNode(CUDA, "Conv", "c"), *many], [])
    assert found.words.endswith("Sin n0, Sin n1, Sin n2, Sin n3 and 5 more")
    assert len(found.as_dict()["elsewhere"]) == 9


def test_a_provider_with_all_nodes_and_one_with_none() -> None:
    assert placed(CUDA, [GraphNode(CUDA, "Conv", "c")], []).words == f"{CUDA} has all 1 nodes"
    assert placed(CUDA, [GraphNode(CPU, "Conv", "c")], []).took_nothing
    unknown = placed(CUDA, None, [])
    assert not unknown.took_nothing
    assert "does not tell" in unknown.words
    assert unknown.as_dict()["told_by"] is None


@pytest.mark.parametrize("text", ["", "{}", "[1, null]", '[{"cat": "Node", "name": "x"}]'])
def test_a_profile_that_is_none_tells_nothing(tmp_path, text) -> None:
    path = tmp_path / "profile.json"
    path.write_text(text)
    assert read_profile(path) == []
    assert read_profile(tmp_path / "missing.json") == []


@pytest.fixture(scope="module")
def graph() -> bytes:
    """Write a convolution of stride 2, a rectifier, a node that does nothing, and a reshape."""
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper  # noqa: PLC0415

    weights = numpy_helper.from_array(np.ones((2, 3, 2, 2), np.float32), "W")
    shape = numpy_helper.from_array(np.array([0, -1], np.int64), "S")
    nodes = [
        helper.make_node("Conv", ["images", "W"], ["c"], name="conv", strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Identity", ["r"], ["i"], name="same"),
        helper.make_node("Reshape", ["i", "S"], ["y"], name="flat"),
    ]
    images = helper.make_tensor_value_info("images", 1, ["N", 3, 8, 8])
    answer = helper.make_tensor_value_info("y", 1, ["N", None])
    own = helper.make_graph(nodes, "g", [images], [answer], [weights, shape])
    model = helper.make_model(own, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def answering(graph, folder):
    model = OnnxModel(graph, "cpu", 1, int8=False, watched=folder)
    return model, model(model.prepare(np.ones((1, 3, 8, 8), np.float32)))


def test_onnx_runtime_tells_of_the_processor_here(graph, tmp_path) -> None:
    """Watching ends with the question, and answers are those of a graph that is not watched."""
    model, (watched,) = answering(graph, tmp_path)
    found = model.placement([("Conv", "conv"), ("Identity", "same")])
    assert found.elsewhere == ()
    assert set(found.nodes) == set(found.executed) == {CPU}
    assert found.words.startswith(f"{CPU} has all")
    if found.told_by == "assignment":
        assert found.nodes == {CPU: 3}
        assert found.left_out == ["Identity same"]
    before = [path.stat().st_size for path in tmp_path.iterdir()]
    plain = OnnxModel(graph, "cpu", 1, int8=False)
    images = np.ones((1, 3, 8, 8), np.float32)
    assert np.array_equal(watched, plain(images)[0])
    assert np.array_equal(model(images)[0], watched)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == before


def test_an_older_release_tells_by_its_profile(graph, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(OnnxModel, "_assigned", lambda _: None)
    found = answering(graph, tmp_path)[0].placement()
    assert found.told_by == "profile"
    assert set(found.nodes) == {CPU}


@pytest.fixture
def prepared(graph, tmp_path):
    model = Model("s", "s", "s", tmp_path / "s.safetensors", {})
    deployment = Deployment("mas-s0-r0", "mas", 0, 0, (model,))
    variant = Variant("onnxruntime", "fp32", "cpu")
    ready = Ready(deployment, {}, {("s", "fp32"): graph}, {}, {})
    shop = SimpleNamespace(source=SimpleNamespace(size_px=8), threads=1)
    return shop, ready, model, variant


def test_what_answers_is_asked_once_and_leaves_no_file(prepared) -> None:
    tried = _Tried()
    predictor = _answering(*prepared, tried)
    ((key, found),) = tried.placements.items()
    assert key == ("s", prepared[3])
    assert found.nodes[CPU] >= 2
    assert predictor(np.zeros((2, 3, 8, 8), np.float32))[0].shape == (2, 32)


def test_a_provider_that_took_nothing_answers_under_no_name_of_its_own(
    prepared, monkeypatch
) -> None:
    """The processor's figures must not stand under the name of a card."""
    nothing = Placement(CUDA, "assignment", {CPU: 3}, (GraphNode(CPU, "Conv", "conv"),))
    monkeypatch.setattr(onnx_session, "placed", lambda *_: nothing)
    tried = _Tried()
    with pytest.raises(InferenceFailedError, match=f"{CUDA} took none of the 3 nodes of s"):
        _answering(*prepared, tried)
    assert list(tried.placements.values()) == [nothing]
