"""Profiles: the shipped ones are sound, mistakes are named with file, line and key."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import extensions
from devices.errors import DeviceError
from devices.host import detect
from devices.profile import (
    PROFILE_FOLDER,
    find_profile,
    load_profile,
    load_profiles,
    matches,
    profile_names,
)

PI_4 = (PROFILE_FOLDER / "raspberry-pi-4.toml").read_text(encoding="utf-8")


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """Write the Pi 4 profile with one text replaced."""
    assert old in PI_4
    path = tmp_path / "raspberry-pi-4.toml"
    path.write_text(PI_4.replace(old, new, 1), encoding="utf-8")
    return path


def test_shipped_profiles_load():
    """The four devices of this version exist, with sources for every figure."""
    names = {"x86", "jetson-nano", "raspberry-pi-4", "raspberry-pi-5"}
    assert names <= set(profile_names())
    for profile in load_profiles():
        power, compute = profile.power, profile.compute
        for source in (power.idle_source, power.full_load_source):
            assert len(source) > 20
        for source in (compute.flop_source, compute.memory_source):
            assert len(source) > 20
        assert profile.training.threads <= profile.cores


def test_generic_power_says_assumption():
    """The x86 power model admits that it describes no machine."""
    power = find_profile("x86").power
    assert "assumption" in power.idle_source
    assert "assumption" in power.full_load_source


def test_jetson_nano_says_what_does_not_work():
    """The old image's Python and the missing GPU support are named."""
    profile = find_profile("jetson-nano")
    limits = " ".join(profile.limits)
    assert "3.6" in limits
    assert "GPU" in limits
    assert profile.rails["ina3221"].total == "POM_5V_IN"


@pytest.mark.parametrize(("typed", "name"), [("pi4", "raspberry-pi-4"), ("nano", "jetson-nano")])
def test_aliases(typed, name):
    """Short names work."""
    assert find_profile(typed).name == name


def test_unknown_device_suggests():
    """A slip of the finger gets the near name and the full list."""
    with pytest.raises(DeviceError, match="unknown device 'rasberry-pi-4'") as caught:
        find_profile("rasberry-pi-4")
    assert "Did you mean 'raspberry-pi-4'?" in caught.value.remedy
    assert "jetson-nano" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "arch", "expected"),
    [
        ("raspberry-pi-4", "aarch64", "raspberry-pi-4"),
        ("raspberry-pi-5", "aarch64", "raspberry-pi-5"),
        ("jetson-nano-jp4", "aarch64", "jetson-nano"),
        ("intel-i7-7700k", "x86_64", "x86"),
        ("virtual-machine", "x86_64", "x86"),
    ],
)
def test_auto_recognises_hosts(board, name, arch, expected):
    """Boards are known by device tree, PCs by architecture, and only one profile matches each."""
    host = detect(board(name), arch=arch, cores_usable=4)
    assert find_profile("auto", host).name == expected
    assert [p.name for p in load_profiles() if matches(host, p)] == [expected]


def test_board_known_by_model_alone(tmp_path):
    """Without a compatible list the model text decides."""
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_text("Raspberry Pi 5 Model B Rev 1.1\0")
    host = detect(tmp_path, arch="aarch64", cores_usable=4)
    assert find_profile("auto", host).name == "raspberry-pi-5"


def test_unknown_host_is_an_error(board, tmp_path):
    """A board without profile is not taken for another one."""
    host = detect(board("raspberry-pi-4").parent / "nothing", arch="riscv64", cores_usable=4)
    with pytest.raises(DeviceError, match="no profile fits") as caught:
        find_profile("auto", host)
    assert "raspberry-pi-4" in caught.value.remedy
    orin = detect(board("jetson-orin-nano"), arch="aarch64", cores_usable=6)
    nano = find_profile("jetson-nano")
    assert not matches(orin, nano)
    with pytest.raises(DeviceError, match="not examined"):
        find_profile("auto", None)


def test_adding_a_board_is_adding_a_file(tmp_path):
    """A new file in the folder is a new device, found by name and by its device tree."""
    text = PI_4.replace('"raspberry-pi-4"', '"my-board"', 1).replace(
        "raspberrypi,4-model-b", "me,x"
    )
    text = text.replace('aliases = ["pi4", "rpi4", "raspberry-pi-4b", "raspberrypi4"]', "")
    (tmp_path / "my-board.toml").write_text(text, encoding="utf-8")
    (tmp_path / "root/proc/device-tree").mkdir(parents=True)
    (tmp_path / "root/proc/device-tree/compatible").write_text("me,x\0")
    host = detect(tmp_path / "root", arch="aarch64", cores_usable=1)
    assert find_profile("auto", host, tmp_path).name == "my-board"
    assert find_profile("my-board", None, tmp_path).aliases == ()


def test_unknown_key_names_file_line_and_key(tmp_path):
    """A misspelt key is an error with its place and the right spelling."""
    path = changed(tmp_path, "idle_w = 3.0", "idel_w = 3.0")
    line = 1 + path.read_text(encoding="utf-8").splitlines().index("idel_w = 3.0")
    with pytest.raises(DeviceError, match=r"power\.idel_w is an unknown key") as caught:
        load_profile(path)
    assert f"{path}:{line}:" in caught.value.message
    assert "Did you mean 'idle_w'?" in caught.value.remedy


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("cores = 4\n", "", "cores is missing"),
        ("cores = 4\n", "cores = 4.5\n", "cores must be a whole number"),
        ("cores = 4\n", "cores = true\n", "cores has a value of the wrong type"),
        ("cores = 4\n", "cores = 0\n", "cores must be above zero"),
        ("idle_w = 3.0", "idle_w = nan", "power.idle_w must be above zero"),
        ("idle_w = 3.0", "idle_w = 9.0", "full_load_w is below idle_w"),
        ('meters = ["hwmon"]', "meters = [1]", "meters must be a list of strings"),
        ("[match]", "[rails.x]\nscope = 'a'\n[match]", "exactly one of total and sum"),
        ("[match]", "power = 3\n[match]", "power|overwrite"),
        ("[power]", "[[power]]", "power is not a table"),
        ("cores = 4\n", "cores = \n", "line 4"),
        ('name = "raspberry-pi-4"', 'name = "pi"', "its file is not"),
    ],
)
def test_wrong_profiles_are_refused(tmp_path, old, new, words):
    """Each mistake is a device error that says what is wrong."""
    with pytest.raises(DeviceError, match=words):
        load_profile(changed(tmp_path, old, new))


def test_missing_file_and_shared_name(tmp_path):
    """An absent file is an error; of two profiles with one name the second is skipped."""
    with pytest.raises(DeviceError, match="is missing"):
        load_profile(tmp_path / "none.toml")
    (tmp_path / "raspberry-pi-4.toml").write_text(PI_4, encoding="utf-8")
    other = PI_4.replace('name = "raspberry-pi-4"', 'name = "other"')
    (tmp_path / "other.toml").write_text(other, encoding="utf-8")
    assert [profile.name for profile in load_profiles(tmp_path)] == ["other"]
    (fault,) = [one for one in extensions.skipped() if str(tmp_path) in one.origin]
    assert "taken by other" in fault.problems[0]


def test_all_faults_of_a_file_are_named_at_once_and_the_others_work(tmp_path):
    """One faulty file disables nothing else."""
    (tmp_path / "raspberry-pi-4.toml").write_text(PI_4, encoding="utf-8")
    faulty = PI_4.replace("cores = ", "coers = ").replace("idle_w = ", "idle_w = -")
    (tmp_path / "mine.toml").write_text(faulty, encoding="utf-8")
    assert [profile.name for profile in load_profiles(tmp_path)] == ["raspberry-pi-4"]
    (fault,) = [one for one in extensions.skipped() if str(tmp_path) in one.origin]
    said = "\n".join(fault.problems)
    assert len(fault.problems) == 3
    for words in ("coers is an unknown key", "cores is missing", "power.idle_w must be above zero"):
        assert words in said


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_profiles_never_crash(tmp_path_factory, data):
    """Any damage to a profile gives a profile or the typed error, nothing else."""
    start = data.draw(st.integers(0, len(PI_4)))
    length = data.draw(st.integers(0, 30))
    insert = data.draw(st.text(max_size=8))
    path = tmp_path_factory.getbasetemp() / "raspberry-pi-4.toml"
    damaged = PI_4[:start] + insert + PI_4[start + length :]
    path.write_bytes(damaged.encode("utf-8", "replace"))
    try:
        profile = load_profile(path)
    except DeviceError:
        return
    assert profile.cores > 0
    assert profile.power.full_load_w >= profile.power.idle_w > 0
