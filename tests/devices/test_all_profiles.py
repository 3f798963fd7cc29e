"""Every device that can be named has a sound profile and recognises its own boards only."""

import re

import pytest

from devices.errors import DeviceError
from devices.host import detect
from devices.meters.registry import METERS
from devices.profile import (
    PROFILE_FOLDER,
    find_profile,
    load_profile,
    load_profiles,
    matches,
    profile_names,
)

NAMES = (
    "x86", "x86-nvidia", "arm", "arm-nvidia", "jetson-nano", "jetson-tx2", "jetson-xavier-nx",
    "jetson-agx-xavier", "jetson-orin-nano", "jetson-orin-nx", "jetson-agx-orin", "jetson-thor",
    "raspberry-pi-3", "raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-zero-2",
)  # fmt: skip

MODELS = {
    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super": "jetson-orin-nano",
    "NVIDIA Orin Nano Developer Kit": "jetson-orin-nano",
    "NVIDIA Orin NX Developer Kit": "jetson-orin-nx",
    "NVIDIA Jetson AGX Orin Developer Kit": "jetson-agx-orin",
    "NVIDIA Jetson AGX Thor Developer Kit": "jetson-thor",
    "NVIDIA Jetson Nano Developer Kit": "jetson-nano",
    "Raspberry Pi 5 Model B Rev 1.1": "raspberry-pi-5",
    "Raspberry Pi 4 Model B Rev 1.4": "raspberry-pi-4",
    "Raspberry Pi 3 Model B Plus Rev 1.3": "raspberry-pi-3",
    "Raspberry Pi Zero 2 W Rev 1.0": "raspberry-pi-zero-2",
}
"""Model texts of real boards → the device they are."""

COMPATIBLE = {
    "nvidia,p3449-0000-b00+p3448-0000-b00": "jetson-nano",
    "nvidia,p3449-0000+p3668-0000": "jetson-xavier-nx",
    "nvidia,p3509-0000+p3668-0001": "jetson-xavier-nx",
    "nvidia,p2597-0000+p3310-1000": "jetson-tx2",
    "nvidia,quill": "jetson-tx2",
    "nvidia,p2822-0000+p2888-0001": "jetson-agx-xavier",
    "nvidia,jetson-xavier": "jetson-agx-xavier",
    "nvidia,jetson-xavier-nx": "jetson-xavier-nx",
    "nvidia,p3768-0000+p3767-0005-super": "jetson-orin-nano",
    "nvidia,p3768-0000+p3767-0000": "jetson-orin-nx",
    "nvidia,p3737-0000+p3701-0005": "jetson-agx-orin",
    "nvidia,p2771-0000": "jetson-tx2",
    "nvidia,lightning": "jetson-tx2",
    "nvidia,p2972-0000": "jetson-agx-xavier",
    "nvidia,p3450-0002": "jetson-nano",
    "nvidia,p3542-0000+p3448-0003": "jetson-nano",
    "nvidia,p4071-0000+p3834-0008": "jetson-thor",
    "nvidia,p3971-0080+p3834-0008": "jetson-thor",
    "raspberrypi,3-model-b-plus": "raspberry-pi-3",
    "raspberrypi,model-zero-2-w": "raspberry-pi-zero-2",
    "raspberrypi,400": "raspberry-pi-4",
    "raspberrypi,4-compute-module-s": "raspberry-pi-4",
    "raspberrypi,500": "raspberry-pi-5",
    "raspberrypi,5-compute-module": "raspberry-pi-5",
}
"""Device-tree texts of real boards → the device they are; the part number of the module decides."""

MODES = {
    "jetson-xavier-nx": {"MODE_15W_6CORE": 2, "MODE_10W_DESKTOP": 5},
    "jetson-orin-nano": {"15W": 0, "MAXN_SUPER": 2},
    "jetson-orin-nx": {"MAXN_SUPER": 0},
    "jetson-agx-orin": {"MAXN": 0, "MODE_30W": 2, "MODE_40W": 3},
    "jetson-thor": {"MAXN": 0},
}
"""Pairs that boards printed when asked `nvpmodel -q`."""


def board_with(tmp_path, **properties):
    folder = tmp_path / "proc/device-tree"
    folder.mkdir(parents=True)
    for name, text in properties.items():
        (folder / name).write_text(text + "\0")
    return detect(tmp_path, arch="aarch64", cores_usable=4)


def recognised(host):
    return [profile.name for profile in load_profiles() if matches(host, profile)]


def test_every_device_has_a_profile():
    """The names that the command line documents are the profiles, no more and no fewer."""
    assert sorted(NAMES) == profile_names()


@pytest.mark.parametrize(("model", "name"), MODELS.items())
def test_model_text_decides(tmp_path, model, name):
    """A board that tells only its model is that device and no other."""
    host = board_with(tmp_path, model=model)
    assert recognised(host) == [name]
    assert find_profile("auto", host).name == name


@pytest.mark.parametrize(("text", "name"), COMPATIBLE.items())
def test_part_number_decides(tmp_path, text, name):
    """A board known by its module's part number is that device and no other."""
    assert recognised(board_with(tmp_path, compatible=text)) == [name]


FASTER = {
    ("raspberry-pi-3", "raspberry-pi-zero-2"): (1.2, 1.6),  # one core at 1.4 and 1.0 GHz
    ("raspberry-pi-4", "raspberry-pi-zero-2"): (2.1, 3.0),  # ncnn, 13 networks in fp32
    ("raspberry-pi-4", "raspberry-pi-3"): (1.5, 2.2),  # ncnn, MobileNet at 1.5 GHz
    ("jetson-nano", "raspberry-pi-4"): (1.2, 1.8),  # ncnn, processor only
    ("raspberry-pi-5", "raspberry-pi-4"): (2.3, 3.0),  # HPL; ncnn has 5.2, half of it by fp16
    ("jetson-orin-nano", "jetson-xavier-nx"): (1.0, 1.6),  # 7-zip at the clocks of the profiles
    ("jetson-agx-xavier", "jetson-orin-nano"): (1.0, 1.8),  # cpuminer, 7-zip
    ("jetson-agx-orin", "jetson-agx-xavier"): (1.2, 2.3),  # 7-zip 1.8, cpuminer 2.3
    ("jetson-agx-orin", "raspberry-pi-4"): (6.0, 9.0),  # ncnn has 16.7, half of it by fp16
    ("jetson-orin-nx", "jetson-orin-nano"): (1.2, 2.0),  # 8 cores of one kind against 6
    ("jetson-thor", "jetson-agx-orin"): (1.5, 4.0),  # more, wider and faster cores
}
"""Which of two boards is faster, and how many times, by the published speeds profiles name."""


@pytest.mark.parametrize(("pair", "times"), FASTER.items())
def test_boards_are_as_fast_as_published(pair, times):
    """The figures of the time model put boards in the order of published speeds."""
    fast, slow = (find_profile(name).compute.flop_per_s for name in pair)
    assert times[0] <= fast / slow <= times[1]


@pytest.mark.parametrize("name", NAMES)
def test_figures_have_sources(name):
    """Every figure says where it is from: an assumption, or a source with a name."""
    profile = find_profile(name)
    power, compute = profile.power, profile.compute
    for source in (power.idle_source, power.full_load_source, compute.flop_source,
                   compute.memory_source):  # fmt: skip
        named = re.search(r"capture|\.(com|org|uk)\b|figure|report|ark_jetson_kernel", source)
        assert source.startswith("assumption: ") or named
    assert 0 < power.idle_w < power.full_load_w
    assert profile.training.threads <= profile.cores
    assert profile.limits
    assert profile.settings.precision == "fp32"


def test_another_module_is_not_taken_for_its_neighbour(tmp_path):
    """TX2 NX has other rails than TX2; it is an Arm computer of no particular kind."""
    host = board_with(tmp_path, compatible="nvidia,p3509-0000+p3636-0001")
    assert recognised(host) == ["arm"]
    assert find_profile("auto", host).name == "arm"
    assert not find_profile("arm").rails


NOT_ON_ARMV8_0 = {"2.4.0", "2.10.0"}
"""Releases of PyTorch that die there (pytorch/pytorch issues 132032 and 176993)."""


@pytest.mark.parametrize("name", NAMES)
def test_install_line_can_be_typed(name):
    """It installs one release, one that the board's cores can execute."""
    command = find_profile(name).torch_install
    release = re.match(r"python3 -m pip install torch==([0-9.]+[0-9])(,|$)", command)
    assert release
    assert release.group(1) not in NOT_ON_ARMV8_0


@pytest.mark.parametrize("name", NAMES)
def test_meters_exist_and_rules_belong_to_them(name):
    """Preferred meters are registered; every rule is of one of them and never adds a part twice."""
    profile = find_profile(name)
    assert set(profile.meters) <= set(METERS)
    for key, rule in profile.rails.items():
        assert any(key == meter or key.startswith(f"{meter}-") for meter in profile.meters)
        summed = {rule.total} if rule.total else set(rule.sum)
        assert not summed & set(rule.never_sum)


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("jetson")])
def test_jetson_modes_and_rails(name):
    """Every Jetson has rails and power modes, and recommends one that exists."""
    profile = find_profile(name)
    assert profile.rails["ina3221"].scope in ("module", "kit")
    modes = profile.power_modes
    assert modes is not None
    assert modes.recommended in modes.ids
    assert MODES.get(name, {}).items() <= modes.ids.items()
    assert "GPU" in " ".join(profile.limits)


def test_boards_without_total_rail_sum():
    """AGX Xavier adds six rails, AGX Orin three and never the one inside another."""
    assert len(find_profile("jetson-agx-xavier").rails["ina3221"].sum) == 6
    orin = find_profile("jetson-agx-orin").rails["ina3221"]
    assert set(orin.sum) == {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"}
    assert "VDDQ_VDD2_1V8AO" in orin.never_sum


def test_thor_has_two_scopes():
    """The kit's input and the module's sum are two figures under two names."""
    rails = find_profile("jetson-thor").rails
    assert (rails["ina3221"].scope, rails["ina3221"].total) == ("kit", "VIN")
    module = rails["ina3221-module"]
    assert module.scope == "module"
    assert set(module.sum) == {"VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"}


@pytest.mark.parametrize(
    "files",
    [
        {"proc/driver/nvidia/version": "NVRM version: x\n"},
        {"sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
         "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n"},
    ],
)  # fmt: skip
def test_nvidia_gpu_makes_another_device(tmp_path, files):
    """A PC with that GPU is x86-nvidia before x86, and says when the GPU trains."""
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    host = detect(tmp_path, arch="x86_64", cores_usable=8)
    profile = find_profile("auto", host)
    assert profile.name == "x86-nvidia"
    assert "rapl" in profile.meters
    assert "nvml" not in profile.meters  # put first by the run where the GPU is what trains
    assert "--accelerator auto" in profile.limits[0]
    assert matches(host, find_profile("x86"))


def test_sound_chip_of_nvidia_is_no_gpu(tmp_path):
    """An NVIDIA function that is no display controller does not make a GPU host."""
    device = tmp_path / "sys/bus/pci/devices/0000:01:00.1"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x040300\n")
    host = detect(tmp_path, arch="x86_64", cores_usable=8)
    assert find_profile("auto", host).name == "x86"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('recommended = "MAXN"', 'recommended = "MAX"', "power_modes.recommended is not one of"),
        ("MAXN = 0", "MAXN = -1", "power_modes.ids.MAXN must be a whole number"),
        ("MAXN = 0", 'MAXN = "0"', "power_modes.ids.MAXN must be a whole number"),
        ("governor =", "govenor =", "settings.govenor is an unknown key"),
    ],
)
def test_wrong_tables_name_their_key(tmp_path, old, new, words):
    """A mode that does not exist and a misspelt setting are refused with place and key."""
    text = (PROFILE_FOLDER / "jetson-thor.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "jetson-thor.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DeviceError, match=words):
        load_profile(path)


WITH_GPU = [name for name in NAMES if name.startswith("jetson-") or name.endswith("-nvidia")]


@pytest.mark.parametrize("name", WITH_GPU)
def test_devices_with_a_gpu_have_two_sets_of_figures(name):
    """Each figure has a source; the GPU is faster than the cores and takes no less power."""
    profile = find_profile(name)
    gpu = profile.gpu
    assert gpu is not None
    assert "processor only" not in profile.title
    compute, power = gpu.compute, gpu.power
    for source in (compute.flop_source, compute.memory_source, compute.launch_source,
                   power.idle_source, power.full_load_source):  # fmt: skip
        assert source.startswith("assumption: ") or re.search(r"capture|ark_jetson_kernel", source)
    assert compute.flop_per_s > profile.compute.flop_per_s
    assert power.full_load_w >= profile.power.full_load_w
    assert 1e-6 < compute.launch_s < 1e-3
    assert gpu.training.streams >= 1
    assert gpu.training.batch >= 1


def test_no_other_device_has_figures_of_a_gpu():
    assert {name for name in NAMES if find_profile(name).gpu} == set(WITH_GPU)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("launch_s = ", "lunch_s = ", "gpu.compute.lunch_s is an unknown key"),
        ("launch_s = ", "# ", "gpu.compute.launch_s is missing"),
        ("streams = 1", "streams = 0", "gpu.training.streams must be above zero"),
        ("[gpu.power]", "[gpu.powers]", "gpu.powers is an unknown key"),
    ],
)
def test_wrong_figures_of_a_gpu_name_their_key(tmp_path, old, new, words):
    """A misspelt, missing or impossible figure is refused with place and key."""
    path = tmp_path / "jetson-nano.toml"
    text = (PROFILE_FOLDER / "jetson-nano.toml").read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DeviceError, match=words.replace(".", r"\.")):
        load_profile(path)
