"""The doctor says what would train here, and what keeps CUDA from computing, with a remedy."""

from dataclasses import replace

import pytest

from devices.accelerator import Accelerator
from devices.board_state import read_board_state
from devices.card_state import CardState
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


def test_card_is_shown_with_its_limits_and_what_is_wrong(check):
    card = CardState(
        "GPU-1", "RTX 4090", ("hw-thermal-slowdown",), {"power-cap": 1_500_000_000}, 91.0, 90.0,
        95.0, 2, True, False,
    )  # fmt: skip
    found = replace(check, cards=[card])
    text = as_text(found)
    assert all(len(line) <= 80 for line in text.splitlines() if line.startswith("Card"))
    words = " ".join(text.split())
    assert "RTX 4090 (GPU-1): 91 °C (slows down at 90 °C, shuts off at 95 °C)" in words
    assert "slowed down: hw thermal slowdown, power cap 1.5 s since its driver was loaded" in words
    wrong = [fix.what for fix in found.fixes() if "RTX 4090" in fix.what]
    assert [("slowed" in w, "2 memory errors" in w, "next reset" in w) for w in wrong] == [
        (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip
    (told,) = as_dict(found)["cards"]
    assert (told["shuts_off_at_c"], told["slowed_s"]) == (95.0, {"power-cap": 1.5})


def test_what_a_card_s_driver_does_not_tell_is_said_and_null(check):
    found = replace(check, cards=[CardState("GPU-1", "Orin")])
    words = " ".join(as_text(found).split())
    assert "Orin (GPU-1): temperature not told, what slows it down is not told" in words
    (told,) = as_dict(found)["cards"]
    assert (told["temperature_c"], told["slowed_now"], told["uncorrected_memory_errors"]) == (
        None, None, None,
    )  # fmt: skip
    assert not [fix for fix in found.fixes() if "Orin" in fix.what and "card" in fix.what]
