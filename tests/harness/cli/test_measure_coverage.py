"""Whose joules a figure holds is said, and so is what is missing in it."""

from dataclasses import replace
from pathlib import Path

import pytest

from devices.host import detect
from devices.meters.base import MeterInfo, Rail
from devices.profile import find_profile
from harness.cli.measure_coverage import Coverage, coverage
from harness.measurement.choice import ChosenMeters

BUS = "00000000:01:00.0"
CARD = "NVIDIA A100, GPU-0a2b"


def info(scope):
    rails = (Rail(BUS),) if scope == "gpu" else (Rail("package-0"),)
    notes = (f"{BUS}: {CARD}", "reading wakes an idle GPU") if scope == "gpu" else ()
    return MeterInfo("meter", "counter", scope, rails, notes=notes)


def chosen(gpus=("nvidia",), profile=None, accelerator="cpu", gpu_reason=""):
    host = replace(detect(Path("/nowhere"), "x86_64", 8), gpus=gpus)
    found = None if profile is None else find_profile(profile)
    return ChosenMeters(host, found, (), (), "", accelerator, gpu_reason)


@pytest.mark.parametrize(
    ("scopes", "words", "held"),
    [
        (("package+dram", "gpu"), f"processor, memory and GPU ({CARD})", True),
        (("package",), "processor, not the GPU: no package (pip install it)", False),
        (("gpu",), f"the GPU alone ({CARD}), without the processor", True),
        (("board",), "all of it, processor and GPU", True),
        (("wall",), "all of it, processor and GPU", True),
        (("made up",), "", None),
        ((), "", None),
    ],
)
def test_what_is_in_the_joules_of_a_host_with_a_gpu(scopes, words, held):
    found = coverage(chosen(gpu_reason="no package (pip install it)"), list(map(info, scopes)))
    assert (found.words(), found.gpu) == (words, held)


def test_a_host_without_a_gpu_has_no_such_question():
    assert coverage(chosen(gpus=()), [info("package")]).words() == ""


def test_a_jetson_s_rails_hold_its_gpu():
    board = chosen(gpus=(), profile="jetson-orin-nano")
    assert coverage(board, [info("module")]).words() == "all of it, processor and GPU"


@pytest.mark.parametrize(
    ("accelerator", "busy", "words"),
    [
        ("gpu", None, "with the figures of the GPU"),
        ("cpu", 0.02, "with the figures of the processor"),
        ("cpu", None, "with the figures of the processor"),
        ("cpu", 0.6, "but the GPU was busy: --accelerator gpu"),
    ],
)
def test_whose_figures_model_the_joules(accelerator, busy, words):
    found = coverage(chosen(profile="x86-nvidia", accelerator=accelerator), [])
    assert words in found.model_words(busy)
    assert Coverage().model_words(busy) == ""
