"""Quantise an ONNX graph to eight bits with scales found on calibration images.

Static quantisation in the QDQ form of ONNX Runtime: int8 weights with a scale per output channel,
int8 activations with the range (minimum to maximum) that the calibration images gave them. Inputs
and outputs stay float32. See Wu et al., Integer Quantization for Deep Learning Inference, 2020.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.multitask.onnx_export import INPUT, describe

RECIPE = "static, QDQ, int8 weights per channel, int8 activations, min-max"


def quantise(graph: bytes, batches: Sequence[NDArray[np.float32]]) -> bytes:
    """Return the int8 form of a float32 graph as the bytes of an ONNX file.

    Args:
        graph: Bytes of the float32 ONNX file.
        batches: Calibration images, each (n, 3, H, W) in [0, 1].

    Raises:
        ModuleNotFoundError: if onnx or onnxruntime is not installed.
        ValueError: if there are no calibration images.
    """
    import onnx  # noqa: PLC0415
    from onnxruntime import quantization  # noqa: PLC0415

    if not batches:
        raise ValueError("there are no calibration images")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(batches)

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self._left, None)
            return None if batch is None else {INPUT: batch}

    with tempfile.TemporaryDirectory(prefix="quantise-") as folder:
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(graph)
        with _quiet():
            quantization.quantize_static(
                str(source), str(target), Reader(),
                quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                activation_type=quantization.QuantType.QInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )  # fmt: skip
        model = onnx.load(str(target))
    images = sum(len(batch) for batch in batches)
    describe(model, {"quantised": RECIPE, "calibration_images": str(images)})
    return bytes(model.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep advice on pre-processing from the screen: the graph comes optimised from the export."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
