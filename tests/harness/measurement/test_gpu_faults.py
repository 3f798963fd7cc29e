"""A GPU that fails while it trains ends the cell in words; other errors stay what they are."""

import sys
from types import SimpleNamespace

import pytest

from harness.core.errors import GpuLostError, MemoryExceededError
from harness.measurement.gpu_faults import gpu_errors
from harness.measurement.memory import memory_errors
from harness.measurement.session import Measurement

LOST = (
    "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported",
    "CUDA driver error: device lost",
    "CUDA error: an illegal memory access was encountered",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm",
)
FULL = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.4 GiB",
    "CUDA error: out of memory",
    "NvMapMemAllocInternalTagged: out of memory",
)


@pytest.mark.parametrize("text", LOST)
def test_lost_gpu_is_told_with_what_to_do(text):
    """The first line of CUDA's words, status 3, and that the command can be typed again."""
    with pytest.raises(GpuLostError) as told, memory_errors(), gpu_errors():
        raise RuntimeError(text)
    assert text.splitlines()[0] in told.value.message
    assert "\n" not in told.value.message
    assert "same command" in told.value.remedy
    assert (told.value.code, told.value.exit_status) == ("gpu-lost", 3)


def test_heat_is_named_where_the_error_may_come_of_it():
    with pytest.raises(GpuLostError) as told, gpu_errors():
        raise RuntimeError(LOST[0])
    assert "TEMPERATURE" in told.value.remedy


@pytest.mark.parametrize("text", FULL)
def test_lack_of_memory_is_no_lost_gpu(text):
    with pytest.raises(MemoryExceededError), memory_errors(), gpu_errors():
        raise RuntimeError(text)


def test_fault_of_the_program_stays_one():
    with pytest.raises(RuntimeError, match="shapes"), memory_errors(), gpu_errors():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_a_measured_program_keeps_its_figures_where_the_gpu_fails(monkeypatch):
    """The program meets CUDA's error itself; the phase ends, and the figures are there."""

    class Cuda:
        def is_initialized(self):
            return True

        def synchronize(self):
            raise RuntimeError(LOST[0])

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda()))
    measurement = Measurement("none")

    def program():
        with measurement, measurement.phase("train"):
            raise RuntimeError("CUDA error: of the program")

    with pytest.raises(RuntimeError, match="of the program"):
        program()
    assert list(measurement.phases) == ["train"]
