"""Whose figures model a command's joules is what was typed, if the host is that device."""

import pytest

from devices.host import detect
from devices.meters.base import Availability
from harness.core.errors import HarnessError
from harness.measurement import choice
from harness.measurement.choice import choose_meters
from harness.measurement.measured_host import HostAsked, settle_host

UNUSABLE = Availability("meter", False, "no-sensor", "no package", "pip install it")
USABLE = Availability("meter", True)


@pytest.fixture
def nano(tmp_path):
    """Return a host that calls itself an Orin Nano."""
    compatible = tmp_path / "proc/device-tree/compatible"
    compatible.parent.mkdir(parents=True)
    compatible.write_bytes(
        b"nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0"
    )
    return detect(tmp_path, "aarch64", 6)


@pytest.fixture
def hidden(tmp_path):
    """Return a host of an architecture that no profile has."""
    return detect(tmp_path, "riscv64", 4)


@pytest.mark.parametrize(
    ("device", "accelerator", "kind"),
    [("auto", "auto", "cpu"), ("auto", "gpu", "gpu"), ("auto", "cuda", "gpu"),
     ("orin-nano:gpu", "auto", "gpu"), ("jetson-orin-nano", "gpu", "gpu"),
     ("jetson-orin-nano:cpu", "cpu", "cpu")],
)  # fmt: skip
def test_the_kind_is_that_which_was_typed(nano, device, accelerator, kind):
    profile, chosen = settle_host(HostAsked(device, accelerator), nano)
    assert profile is not None
    assert (profile.name, chosen) == ("jetson-orin-nano", kind)


@pytest.mark.parametrize(
    ("device", "accelerator", "said"),
    [
        ("raspberry-pi-5", "auto", "this host is jetson-orin-nano, not raspberry-pi-5"),
        ("jetson-orin-nanoo", "auto", "unknown device"),
        ("jetson-orin-nano:tpu", "auto", "unknown accelerator"),
        ("auto", "tpu", "unknown accelerator"),
        ("jetson-orin-nano:gpu", "cpu", "contradict"),
        ("jetson-orin-nano:gpu,jetson-orin-nano:cpu", "auto", "on one device"),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_out(nano, device, accelerator, said):
    with pytest.raises(HarnessError, match=said) as caught:
        settle_host(HostAsked(device, accelerator), nano)
    assert caught.value.remedy


def test_a_host_that_nothing_fits_is_what_it_is_said_to_be(hidden):
    assert settle_host(HostAsked(), hidden) == (None, "cpu")
    profile, kind = settle_host(HostAsked("jetson-thor:gpu"), hidden)
    assert profile is not None
    assert (profile.name, kind) == ("jetson-thor", "gpu")
    with pytest.raises(HarnessError, match="no profile fits this host"):
        settle_host(HostAsked(accelerator="gpu"), hidden)
    with pytest.raises(HarnessError, match="raspberry-pi-4 has no GPU"):
        settle_host(HostAsked("raspberry-pi-4:gpu"), hidden)


def computer(monkeypatch, root, rapl, nvml):
    """Be a computer with a card, whose meters answer as given."""
    driver = root / "proc/driver/nvidia/version"
    driver.parent.mkdir(parents=True)
    driver.write_text("NVRM version: 580.1")
    host = detect(root, "x86_64", 8)
    answers = {"rapl": rapl, "nvml": nvml}
    monkeypatch.setattr(choice, "detect", lambda root: host)
    monkeypatch.setattr(choice, "try_meter", lambda name, root: answers[name])

    def chosen(profile, root):
        spec = choice.check_name("rapl") if rapl.usable else None
        return type("Choice", (), {"spec": spec, "answers": [rapl], "passed_over": rapl.reason})()

    monkeypatch.setattr(choice, "choose_meter", chosen)


@pytest.mark.parametrize(
    ("rapl", "nvml", "cpu", "gpu"),
    [
        (USABLE, USABLE, ("rapl", "nvml"), ("rapl", "nvml")),
        (USABLE, UNUSABLE, ("rapl",), ()),  # the processor's joules are not those of the work
        (UNUSABLE, USABLE, (), ("nvml",)),
        (UNUSABLE, UNUSABLE, (), ()),
    ],
)
def test_a_command_on_the_gpu_has_no_joules_without_the_gpu_s(
    monkeypatch, tmp_path, rapl, nvml, cpu, gpu
):
    computer(monkeypatch, tmp_path, rapl, nvml)
    for accelerator, totals in (("auto", cpu), ("gpu", gpu)):
        found = choose_meters("auto", which=HostAsked(accelerator=accelerator))
        assert found.totals == totals
        assert found.has_gpu
        assert ("pip install it" in found.gpu_reason) is not nvml.usable
    if rapl.usable and not nvml.usable:
        assert "the GPU has no meter: no package" in found.reason


def test_the_model_takes_the_figures_of_what_works(nano, monkeypatch):
    monkeypatch.setattr(choice, "detect", lambda root: nano)
    watts = {}
    for kind in ("cpu", "gpu"):
        model = choose_meters("none", which=HostAsked(accelerator=kind)).power_model()
        assert model is not None
        # a second in which four cores worked all the time
        watts[kind] = model.energy_on_host_j(1.0, 4.0)
    # 4.8 W idle, 8.5 W with six cores, 20 W with the GPU: devices/profiles/jetson-orin-nano.toml
    assert watts["cpu"] == pytest.approx(4.8 + (8.5 - 4.8) * 4 / 6)
    assert watts["gpu"] == pytest.approx(20.0)
