"""Name the execution providers of ONNX Runtime, and say which a device should have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CPU = "cpu"

PROVIDERS: Mapping[str, str] = {
    CPU: "CPUExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""Our name → the name ONNX Runtime has for it."""

ON_PROCESSOR = (CPU, "xnnpack")
"""Providers whose work is done by processor cores, which the power model can follow."""

ARM = ("aarch64", "arm64", "armv7l")
REMEDIES: Mapping[str, str] = {
    "xnnpack": "build ONNX Runtime with --use_xnnpack",
    "cuda": "install onnxruntime-gpu, on a Jetson NVIDIA's own build, in place of onnxruntime",
    "tensorrt": "install onnxruntime-gpu and TensorRT, on a Jetson NVIDIA's own build",
}


def usual(device: str, arch: str) -> tuple[str, ...]:
    """Return the providers that make sense on a device: its processor, and what else it has."""
    found = [CPU]
    if arch in ARM:
        found.append("xnnpack")
    if device.startswith("jetson") or device.endswith("nvidia"):
        found += ["cuda", "tensorrt"]
    return tuple(found)


def missing(wanted: Sequence[str], available: Sequence[str], version: str) -> dict[str, str]:
    """Return why providers cannot be used, by name; `available` are ONNX Runtime's own names."""
    return {
        name: f"ONNX Runtime {version} as installed has no {PROVIDERS[name]}:"
        f" {REMEDIES.get(name, 'install onnxruntime again')}"
        for name in wanted
        if PROVIDERS[name] not in available
    }


def session_providers(name: str, threads: int, *, int8: bool) -> list[Any]:
    """Return what a session is given: the provider with its options, then the processor.

    XNNPACK has threads of its own. TensorFloat-32 is off, as it is not single precision.
    """
    options: dict[str, dict[str, str]] = {
        "xnnpack": {"intra_op_num_threads": str(threads)},
        "cuda": {"use_tf32": "0"},
        "tensorrt": {"trt_int8_enable": str(int(int8))},
    }
    if name == CPU:
        return [PROVIDERS[CPU]]
    return [(PROVIDERS[name], options[name]), PROVIDERS[CPU]]
