"""The doctor says what would train here, and what keeps CUDA from computing, with a remedy."""

from dataclasses import replace

import pytest

from devices.accelerator import Accelerator
from devices.board_state import read_board_state
from devices.cuda_probe import CudaProbe
from devices.host import detect
from devices.profile import find_profile
from devices.programs import Programs
from harness.checkup.facts import HostFacts
from harness.checkup.readiness import Checkup
from harness.checkup.report import as_dict, as_text

CARD = Accelerator(kind="gpu", name="Orin", uuid="GPU-1", cuda="12.6")
BROKEN = CudaProbe("the NVIDIA driver is too old for CUDA 12.6", "Update the driver.")


@pytest.fixture
def check(tmp_path):
    """Return an examined Orin Nano without meters, of which nothing else is known."""
    facts = HostFacts("aarch64", 6, packages={"torch": "2.9.1"})
    host = detect(tmp_path, "aarch64", 6)
    profile = find_profile("jetson-orin-nano")
    return Checkup(
        host=host,
        board=read_board_state(tmp_path, Programs(tmp_path)),
        meters=[],
        facts=facts,
        profile=profile,
    )


def test_gpu_that_computed_is_named(check):
    found = replace(check, cuda=CudaProbe(gpu=CARD))
    assert "Trains  on the GPU: Orin, CUDA 12.6" in as_text(found)
    assert as_dict(found)["accelerator"]["uuid"] == "GPU-1"


def test_fault_of_cuda_is_to_do_and_blocks_nothing(check):
    found = replace(check, cuda=BROKEN)
    assert "the GPU cannot train" in " ".join(as_text(found).split())
    (fix,) = [one for one in found.fixes() if "GPU" in one.what]
    assert (fix.do, fix.blocks) == ("Update the driver.", False)
    assert as_dict(found)["accelerator"]["kind"] == "cpu"


def test_what_was_not_tried_is_not_claimed(check):
    assert "which was not tried" in " ".join(as_text(check).split())
    assert as_dict(check)["accelerator"] is None
    pi = replace(check, profile=find_profile("raspberry-pi-5"))
    assert "Trains  on the processor" in as_text(pi)
