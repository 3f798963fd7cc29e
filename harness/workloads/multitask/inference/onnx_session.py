"""Run ONNX graphs with ONNX Runtime. Nothing here needs torch, so a bare process can use it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import InferenceFailedError
from harness.workloads.multitask.inference.placement import (
    GraphNode,
    Placement,
    placed,
    read_profile,
)
from harness.workloads.multitask.inference.providers import PROVIDERS, session_providers


class OnnxModel:
    """Answer with one graph.

    Threads stop spinning when an answer is there, so that the idle threads of one model do not take
    the cores of the next; denormals are zero, as in training.
    """

    def __init__(
        self,
        graph: bytes | Path,
        provider: str,
        threads: int,
        *,
        int8: bool,
        watched: Path | None = None,
    ) -> None:
        """Load the graph; with a folder to write to, `placement` tells after the first answer.

        Raises:
            InferenceFailedError: if it cannot be loaded, or the provider was not taken.
        """
        import onnxruntime  # noqa: PLC0415 - what needs no answer needs no runtime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1 if provider == "xnnpack" else threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        if watched is not None:
            options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
            options.enable_profiling = True
            options.profile_file_prefix = os.fspath(watched / "profile")
        self._asked = PROVIDERS[provider]
        try:
            self._session = onnxruntime.InferenceSession(
                os.fspath(graph) if isinstance(graph, Path) else graph,
                options,
                providers=session_providers(provider, threads, int8=int8),
            )
        except Exception as error:  # ONNX Runtime's errors have no class in common but this one
            raise InferenceFailedError(f"ONNX Runtime cannot load it: {_first(error)}") from error
        taken = self._session.get_providers()[0]
        if taken != self._asked:
            raise InferenceFailedError(f"ONNX Runtime took {taken} instead of {self._asked}")
        self._input = self._session.get_inputs()[0].name

    def placement(self, file_nodes: Sequence[tuple[str, str]] = ()) -> Placement:
        """Return who runs the nodes of a graph that was loaded to be watched, and end the watching.

        `file_nodes` are kind and name of every node in the file.
        """
        executed = read_profile(Path(self._session.end_profiling()))
        return placed(self._asked, self._assigned(), executed, file_nodes)

    def _assigned(self) -> list[GraphNode] | None:
        """Return which provider each node was given to; None before release 1.24."""
        listing = getattr(self._session, "get_provider_graph_assignment_info", None)
        if listing is None:
            return None
        try:
            return [
                GraphNode(str(part.ep_name), str(node.op_type), str(node.name))
                for part in listing()
                for node in part.get_nodes()
            ]
        except Exception:  # a build without it says so by an error of any class
            return None

    def prepare(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return images (N, 3, H, W) as this runtime likes them."""
        return np.ascontiguousarray(images)

    def __call__(self, prepared: NDArray[np.float32]) -> Sequence[Any]:
        """Return the outputs, one (N, C, h, w) array per task.

        Raises:
            InferenceFailedError: if ONNX Runtime cannot compute them.
        """
        try:
            outputs: Sequence[Any] = self._session.run(None, {self._input: prepared})
        except Exception as error:
            raise InferenceFailedError(f"ONNX Runtime cannot run it: {_first(error)}") from error
        return outputs


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
