"""Parsers of a board's set-up, on what real boards printed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.board_state import (
    ClockPinning,
    PowerMode,
    jetpack_of,
    parse_jetson_clocks,
    parse_l4t,
    parse_nvpmodel,
    parse_nvpmodel_status,
    parse_throttled,
    read_board_state,
    read_cpufreq,
    throttle_words,
)
from devices.programs import Programs

CORE = "cpu{n}: Online={on} Governor=schedutil MinFreq={low} MaxFreq=1728000 CurrentFreq=1420800"
EMC = "EMC MinFreq=204000000 MaxFreq=3199000000 CurrentFreq=3199000000 FreqOverride={o}"


def clocks_shown(low, idle, override, second_online=1):
    cores = [
        CORE.format(n=0, on=1, low=low) + f" IdleStates: WFI={idle} c7={idle} ",
        CORE.format(n=1, on=second_online, low=729600) + " IdleStates: WFI=0 c7=0 ",
    ]
    if second_online:
        cores[1] = cores[0].replace("cpu0", "cpu1")
    return "\n".join(["SOC family:tegra234", "Online CPUs: 0-1", *cores, EMC.format(o=override)])


@pytest.mark.parametrize(
    ("release", "version", "l4t", "jetpack"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic", "", "36.4.3", "6.2"),
        ("# R36 (release), REVISION: 4.4, GCID: 41062509", "", "36.4.4", "6.2.1"),
        ("# R38 (release), REVISION: 4.0, GCID: 43443517", "", "38.4.0", "7.1"),
        ("# R39 (release), REVISION: 2.0, GCID: 45755727", "", "39.2.0", "7.2"),
        ("# R32 (release), REVISION: 7.1, GCID: 1, BOARD: t210ref", "", "32.7.1", "4"),
        ("# R35 (release), REVISION: 4.1, GCID: 33958178", "", "35.4.1", "5"),
        ("", "Linux version 6.8.12-tegra (l4t-r39.2.0) #1 SMP", "39.2.0", "7.2"),
        ("", "Linux version 6.6.31+rpt-rpi-v8", "", ""),
    ],
)
def test_release(release, version, l4t, jetpack):
    """The release file, or in a container the kernel's version, gives L4T and JetPack."""
    assert parse_l4t(release, version) == l4t
    assert jetpack_of(l4t) == jetpack


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("NV Power Mode: MAXN_SUPER\n2\n", PowerMode("MAXN_SUPER", 2)),
        ("NV Fan Mode:quiet\nNV Power Mode: MODE_15W_6CORE\n2\n", PowerMode("MODE_15W_6CORE", 2)),
        ("NVPM ERROR: 5 failed\nNV Power Mode: MAXN\nNVPM WARN: x 3 y\n0\n", PowerMode("MAXN", 0)),
        ("NVPM VERB: Config file: x\nNV Power Mode: 5W\n", PowerMode("5W", None)),
        ("NVPM ERROR: Error opening /sys/x: 13\n", None),
        ("", None),
    ],
)
def test_power_mode(text, mode):
    """The mode is found among other lines; a mode without number keeps its name."""
    assert parse_nvpmodel(text) == mode


def test_power_mode_from_state_file(tmp_path):
    """Where nvpmodel cannot be asked its files tell the number and the number's name."""
    status = tmp_path / "var/lib/nvpmodel/status"
    status.parent.mkdir(parents=True)
    status.write_text("pmode:0002 fmode:quiet")
    assert read_board_state(tmp_path, Programs(tmp_path)).power_mode == PowerMode("", 2)
    configuration = tmp_path / "etc/nvpmodel.conf"
    configuration.parent.mkdir()
    configuration.write_text("< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=7W_CPU >\n")
    state = read_board_state(tmp_path, Programs(tmp_path))
    assert state.power_mode == PowerMode("7W_CPU", 2)
    assert [(mode.number, mode.name) for mode in state.modes] == [(0, "15W"), (2, "7W_CPU")]
    assert parse_nvpmodel_status("fmode:quiet") is None


@pytest.mark.parametrize(
    ("text", "pinned"),
    [
        (clocks_shown(1728000, 0, 1), True),
        (clocks_shown(1728000, 0, 1, second_online=0), True),  # what is off cannot move
        (clocks_shown(729600, 0, 1), False),
        (clocks_shown(1728000, 1, 1), False),
        (clocks_shown(1728000, 0, 0), False),
    ],
)
def test_jetson_clocks(text, pinned):
    """Pinned needs equal limits, no idle state on online cores and an overridden memory clock."""
    assert parse_jetson_clocks(text) == ClockPinning(pinned, "jetson_clocks --show")


def test_jetson_clocks_without_permission():
    """An error message says nothing of clocks."""
    assert parse_jetson_clocks("Error: run with sudo\n") is None


def test_cpufreq(tmp_path):
    """Equal limits or the performance governor hold a core; one free core unpins the whole."""
    assert read_cpufreq(tmp_path) is None
    for core, (low, governor) in enumerate((("1500", "ondemand"), ("600", "performance"))):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_min_freq").write_text(low)
        (folder / "scaling_max_freq").write_text("1500")
        (folder / "scaling_governor").write_text(governor)
    assert read_cpufreq(tmp_path) == ClockPinning(True, "cpufreq")
    (tmp_path / "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor").write_text("ondemand")
    assert read_cpufreq(tmp_path) == ClockPinning(False, "cpufreq")


def test_throttled():
    """Low bits are of this moment, the same 16 higher of the time since the start."""
    assert parse_throttled("throttled=0x50005\n") == 0x50005
    assert parse_throttled('error=1 error_msg="Command not registered"\n') is None
    now, before = throttle_words(0x50005)
    assert now == before == ("under-voltage", "throttled")
    assert throttle_words(0x80000) == ((), ("soft temperature limit",))
    assert throttle_words(0) == ((), ())


def test_over_current_alarm(tmp_path):
    """A rail's alarm that is set counts as throttling now."""
    folder = tmp_path / "sys/class/hwmon/hwmon3"
    folder.mkdir(parents=True)
    (folder / "curr1_crit_alarm").write_text("1\n")
    (folder / "curr2_crit_alarm").write_text("0\n")
    state = read_board_state(tmp_path, Programs(tmp_path))
    assert state.throttled_now == ("over-current alarm curr1_crit_alarm",)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_parsers_survive_anything(text):
    """Whatever a program prints, the parsers answer or say nothing."""
    for start in ("", "NV Power Mode: ", "cpu0: Online=1 ", "throttled=0x", "pmode:"):
        for parse in (parse_nvpmodel, parse_nvpmodel_status, parse_jetson_clocks, parse_throttled):
            parse(start + text)
        jetpack_of(parse_l4t(text, start + text))


def test_gpu_clock_of_a_jetson(tmp_path):
    """A GPU that may change its clock unpins the board; other devfreq devices do not count."""
    core = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    core.mkdir(parents=True)
    (core / "scaling_governor").write_text("performance")
    for name, least in (("17000000.gpu", "1020"), ("ufs", "1"), ("17000000.ga10b", "1020")):
        folder = tmp_path / "sys/class/devfreq" / name
        folder.mkdir(parents=True)
        (folder / "min_freq").write_text(least)
        (folder / "max_freq").write_text("1020")
    assert read_cpufreq(tmp_path) == ClockPinning(True, "cpufreq")
    (tmp_path / "sys/class/devfreq/17000000.ga10b/min_freq").write_text("306")
    assert read_cpufreq(tmp_path) == ClockPinning(False, "cpufreq")


def test_under_voltage_alarm_of_a_pi_without_vcgencmd(tmp_path):
    """The kernel's own alarm is used where the program cannot be asked."""
    folder = tmp_path / "sys/class/hwmon/hwmon1"
    folder.mkdir(parents=True)
    (folder / "name").write_text("rpi_volt\n")
    (folder / "in0_lcrit_alarm").write_text("1\n")
    assert read_board_state(tmp_path, Programs(tmp_path)).throttled_now == ("under-voltage",)
    (folder / "name").write_text("other\n")
    assert read_board_state(tmp_path, Programs(tmp_path)).throttled_now == ()


def test_over_current_alarm_of_a_tree_without_classes(tmp_path):
    """The driver's folder tells too, and a chip shown in both places raises one alarm."""
    for place in ("sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3", "sys/class/hwmon/hwmon3"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "curr2_crit_alarm").write_text("1\n")
        state = read_board_state(tmp_path, Programs(tmp_path))
        assert state.throttled_now == ("over-current alarm curr2_crit_alarm",)
