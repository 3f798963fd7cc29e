"""What a container hides is named with the flag of its own runtime."""

import pytest

from devices.container import HIDDEN_BOARD, Recipe
from devices.errors import DeviceError
from devices.host import detect
from devices.profile import find_profile
from tests.devices.test_virtual import mount, write

ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n"
JETSON = {"proc/cpuinfo": ARM, "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3\n"}
DOCKER = {".dockerenv": ""}
POD = {"run/secrets/kubernetes.io/serviceaccount/": ""}
PODMAN = {"run/.containerenv": "\n"}


@pytest.mark.parametrize(
    ("runtime", "flag"),
    [
        (DOCKER, "--security-opt systempaths=unconfined"),
        (PODMAN, "--security-opt unmask=/sys/firmware"),
        (POD, "procMount: Unmasked"),
    ],
)
def test_hidden_board_of_a_jetson(tmp_path, runtime, flag):
    """A Jetson without its device tree is no computer of any kind: the flag is the remedy."""
    host = detect(write(tmp_path, {**JETSON, **runtime}))
    assert (host.arch, host.family) == ("aarch64", "NVIDIA Jetson")
    assert flag in host.name_fix
    with pytest.raises(DeviceError) as caught:
        find_profile("auto", host)
    assert flag in caught.value.remedy


def test_board_that_is_named_elsewhere(tmp_path):
    """The Pi's kernel and the driver of other chips name a board whose device tree is masked."""
    pi = ARM + "\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
    assert (
        find_profile("auto", detect(write(tmp_path / "pi", {"proc/cpuinfo": pi, **DOCKER}))).name
        == "raspberry-pi-4"
    )
    named = {**JETSON, **DOCKER, "sys/devices/soc0/machine": "NVIDIA Jetson Orin NX Engineering\n"}
    assert find_profile("auto", detect(write(tmp_path / "nx", named))).name == "jetson-orin-nx"


def test_nameless_arm_container_is_a_generic_computer(tmp_path):
    """Where nothing tells a board with a profile, the run may go on; the flag is said."""
    host = detect(write(tmp_path, {"proc/cpuinfo": ARM, **DOCKER}))
    assert find_profile("auto", host).name == "arm"
    assert [hidden.what for hidden in host.hidden] == [HIDDEN_BOARD]


def test_nothing_is_hidden_from_a_bare_machine(tmp_path):
    """Without a container nothing is the container's doing, whatever is missing."""
    assert detect(write(tmp_path / "a", JETSON)).hidden == ()
    server = {"proc/cpuinfo": ARM, **DOCKER, "sys/class/dmi/id/product_name": "Altra\n"}
    assert detect(write(tmp_path / "b", server)).hidden == ()


def test_power_modes_of_a_jetson(tmp_path):
    """A board that tells its name and not its modes needs their files."""
    tree = {**JETSON, **DOCKER, "proc/device-tree/compatible": "nvidia,p3767-0005\0"}
    (hidden,) = detect(write(tmp_path, tree)).hidden
    assert "/etc/nvpmodel.conf" in hidden.what
    assert "-v /etc/nvpmodel.conf:/etc/nvpmodel.conf:ro" in hidden.fix
    shown = write(tmp_path, {"etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n"})
    assert detect(shown).hidden == ()


def test_masked_throttle_counters(tmp_path):
    """Newer runtimes mask the counters that show throttling on x86."""
    place = "/sys/devices/system/cpu/cpu0/thermal_throttle"
    masked = {"proc/cpuinfo": "vendor_id\t: GenuineIntel\n", **DOCKER,
              "proc/self/mountinfo": mount("/", place, "tmpfs", "ro")}  # fmt: skip
    (hidden,) = detect(write(tmp_path, masked)).hidden
    assert "thermal_throttle" in hidden.what
    assert hidden.fix == "start the container with --security-opt systempaths=unconfined"


def test_each_runtime_has_its_words():
    """A device, a file and GPUs are shown by another flag in each runtime."""
    for flags in (
        {r: Recipe(r).device("/dev/vcio") for r in ("docker", "kubernetes", "lxc", "nspawn")},
        {r: Recipe(r).mount("/run/x") for r in ("docker", "kubernetes", "lxc", "nspawn")},
        {r: Recipe(r).gpus() for r in ("docker", "podman", "kubernetes", "lxc")},
    ):
        assert len(set(flags.values())) == len(flags)
    assert Recipe("docker").device("/dev/vcio") == "--device /dev/vcio"
