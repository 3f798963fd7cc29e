"""A fault of CUDA ends in words and something to do, whatever it is; only a right sum is a GPU.

What the program prints is played; the texts of errors are those that PyTorch and CUDA print (issues
of pytorch/pytorch and NVIDIA's forum). The program itself runs here once, under this Python.
"""

import ast
import json
import re
import subprocess
import sys

import pytest

from devices.cuda_probe import PROGRAM, CudaProbe, probe_cuda

CARD = {
    "torch": "2.9.1", "cuda": "12.6", "name": "Orin", "capability": "8.7", "integrated": True,
    "memory_bytes": 7_990_000_000, "uuid": "ddf2c6ac-0eb7-5b7c-a3ab-5b7f4b43c3b5",
    "built_for": ["sm_50", "sm_80", "sm_90"], "visible": None, "hip": None, "mps": False,
}  # fmt: skip


def played(told: object, status: int = 0, errors: str = "") -> CudaProbe:
    """Return what is made of a process that prints this."""
    text = told if isinstance(told, str) else f"a library's greeting\n{json.dumps(told)}\n"
    done = subprocess.CompletedProcess([], status, text, errors)
    return probe_cuda("python3", lambda _words, _limit_s: done)


def test_gpu_that_computes_rightly_is_taken():
    """It is named as NVML names it, so that the meter reads the card that trains."""
    gpu = played({**CARD, "fault": "", "miss": 3e-7}).gpu
    assert gpu is not None
    assert (gpu.kind, gpu.index, gpu.name, gpu.capability) == ("gpu", 0, "Orin", "8.7")
    assert gpu.uuid == "GPU-ddf2c6ac-0eb7-5b7c-a3ab-5b7f4b43c3b5"
    assert (gpu.shared_memory, gpu.memory_bytes, gpu.cuda) == (True, 7_990_000_000, "12.6")


@pytest.mark.parametrize("miss", [2e-3, float("nan"), float("inf")])
def test_gpu_that_computes_wrongly_is_not_taken(miss):
    found = played({**CARD, "fault": "", "miss": miss})
    assert found.gpu is None
    assert "wrongly" in found.fault
    assert found.fix


COUNTING = (
    "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling"
    " NumCudaDevices() that might have already set an error? "
)

FAULTS = {
    "no torch": ({"fault": "no-torch", "error": "No module named 'torch'"}, "cannot be imported"),
    "processor build": ({**CARD, "cuda": None, "fault": "no-cuda-build"}, "the processor alone"),
    "AMD": (
        {**CARD, "cuda": None, "hip": "6.2.4", "fault": "no-cuda-build"},
        r"AMD GPUs \(ROCm 6.2.4\), which are not supported",
    ),
    "Apple": (
        {**CARD, "cuda": None, "mps": True, "fault": "no-cuda-build"},
        r"Apple's GPU \(MPS\), which is not supported",
    ),
    "hidden": (
        {**CARD, "visible": "", "fault": "no-start", "error": "No CUDA GPUs are available"},
        "CUDA_VISIBLE_DEVICES='' hides every GPU",
    ),
    "hidden by -1": ({**CARD, "visible": "-1", "fault": "no-gpu"}, "hides every GPU"),
    "old driver": (
        {**CARD, "fault": "no-start", "error": "The NVIDIA driver on your system is too old"
         " (found version 11040). Please update your GPU driver"},
        "driver is too old for CUDA 12.6",
    ),
    "insufficient driver": (
        {**CARD, "fault": "no-start", "error": "CUDA driver version is insufficient for CUDA"
         " runtime version"},
        "driver is too old",
    ),
    "hidden by a number": (
        {**CARD, "visible": "7", "fault": "no-gpu"},
        r"finds no GPU that it can use with CUDA_VISIBLE_DEVICES='7'",
    ),
    "parts of two drivers": (
        {**CARD, "fault": "no-start", "error": COUNTING + "Error 804: forward compatibility was"
         " attempted on non supported HW"},
        "do not fit each other or CUDA 12.6: Error 804: forward compatibility was attempted on",
    ),
    "display driver": (
        {**CARD, "fault": "no-start", "error": COUNTING + "Error 803: system has unsupported"
         " display driver / cuda driver combination"},
        "do not fit each other",
    ),
    "old driver, told by its number": (
        {**CARD, "fault": "no-start", "error": COUNTING + "Error 35: CUDA driver version is"
         " insufficient for CUDA runtime version"},
        "driver is too old for CUDA 12.6: Error 35: CUDA driver version is insufficient",
    ),
    "not connected": (
        {**CARD, "fault": "no-start", "error": COUNTING + "Error 802: system not yet initialized"},
        "are not ready: Error 802",
    ),
    "no driver": (
        {**CARD, "fault": "no-start", "error": "Found no NVIDIA driver on your system."},
        "no NVIDIA driver is loaded",
    ),
    "none at all": ({**CARD, "fault": "no-gpu"}, "finds no GPU that it can use"),
    "no kernel": (
        {**CARD, "capability": "5.3", "fault": "no-compute", "error": "CUDA error: no kernel image"
         " is available for execution on the device\nCUDA kernel errors might be"},
        r"no code for Orin \(compute capability 5.3; it is built for sm_50, sm_80, sm_90\)",
    ),
    "memory taken": (
        {**CARD, "fault": "no-compute", "error": "CUDA out of memory. Tried to allocate 2 MiB"},
        "taken by other programs",
    ),
    "lost": (
        {**CARD, "fault": "no-compute", "error": "CUDA error: device-side assert triggered"},
        "does not compute: CUDA error",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("told", "words"), FAULTS.values(), ids=FAULTS)
def test_every_fault_has_words_and_a_remedy(told, words):
    found = played(told)
    assert found.gpu is None
    assert re.search(words, found.fault)
    assert "\n" not in found.fault
    assert found.fix


@pytest.mark.parametrize("text", ["", "Segmentation fault\n", '{"fault"', '{"x": 1}\n', "[1]\n"])
def test_process_that_dies_has_its_status_named(text):
    """Illegal instructions and lost cards end a process; its last line is shown."""
    found = played(text, -11, "libcudart.so: x\nAborted\n")
    assert found.gpu is None
    assert "status -11: Aborted" in found.fault


def test_process_that_hangs_or_is_not_there():
    def hangs(words, limit_s):
        raise subprocess.TimeoutExpired(words, limit_s)

    def missing(_words, _limit_s):
        raise FileNotFoundError("no such file")

    assert "not done after 120 s" in probe_cuda("python3", hangs).fault
    assert "cannot be started" in probe_cuda("/nowhere", missing).fault


def test_program_is_fit_for_the_python_of_jetpack_4():
    """Its Python 3.6 has to read it: `--board-python` is asked in the same way."""
    ast.parse(PROGRAM, feature_version=(3, 6))


@pytest.mark.whole
def test_program_tells_of_this_host():
    """Whatever is here, the answer is one of both; without a GPU it is a fault with a remedy."""
    found = probe_cuda(sys.executable)
    assert (found.gpu is None) == bool(found.fault)
    assert found.fix or found.gpu
