"""The comparison of a GPU's two readings says what is missing and divides what belongs together."""

import pytest

from devices.cuda_probe import CudaProbe
from devices.energy import Reading
from devices.meters.base import Availability
from tests.benchmarks import nvml


def reading(energy_j, reason="", kind="counter"):
    return Reading(
        energy_j, 0.0, 20.0, "nvml", "gpu", kind, 200, 0.1, 0, 0.0,
        None if reason else 1.0, (), reason,
    )  # fmt: skip


def test_without_gpu_nothing_is_measured(monkeypatch):
    """The first line says so; every cause is named with its remedy."""
    monkeypatch.setattr(nvml, "cuda_here", lambda: CudaProbe("built for the processor alone"))
    monkeypatch.setattr(
        nvml, "try_meter", lambda text: Availability("nvml", False, "no-sensor", "no driver", "ls")
    )
    lines = nvml.report()
    assert lines[0].startswith("Not run, nothing was measured")
    assert lines[1:] == [
        "Training on the GPU: built for the processor alone.",
        "Meter nvml:kind=counter: no driver. ls",
        "Meter nvml:kind=sampled: no driver. ls",
    ]


def test_rows_divide_the_same_windows():
    """2,000 J in 20 s are 100 W; 1,900 J sampled are 0.95 of it; a spoilt window is told."""
    counted = [reading(2000.0), reading(4000.0), reading(None, "reset of the counter")]
    sampled = [reading(energy_j, kind="sampled") for energy_j in (1900.0, 4000.0, 10.0)]
    power, ratio, spoilt = nvml.table("trains", counted, sampled)
    assert power == "| trains: power by the counter, W | 100.00 | 150.00 | 200.00 |"
    assert ratio == "| trains: sampled over counted | 0.9500 | 0.9750 | 1.0000 |"
    assert "reset of the counter" in spoilt


@pytest.mark.parametrize("text", nvml.METERS)
def test_both_meters_are_known(text):
    """The typed meters are accepted; on a host without NVIDIA they say why they do not work."""
    answer = nvml.try_meter(text)
    assert answer.usable or answer.reason_code != "bad-option"
