"""Host detection from files only."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.control_groups import quota_cores
from devices.host import detect, find_virtualisation, parse_cpu_list, read_state


def test_raspberry_pi_4(board):
    """Everything the Pi's files say is taken over; the processor is named by the device tree."""
    host = detect(board("raspberry-pi-4"), arch="aarch64", cores_usable=3)
    assert host.model == host.cpu_model == "Raspberry Pi 4 Model B Rev 1.4"
    assert host.compatible == ("raspberrypi,4-model-b", "brcm,bcm2711")
    assert (host.cores_online, host.cores_usable) == (4, 3)
    assert host.memory_bytes == 3885396 * 1024
    assert host.kernel == "6.6.31+rpt-rpi-v8"
    assert host.virtual == ""
    assert host.state.governor == "ondemand"
    assert host.state.temperature_c == pytest.approx(47.712)
    assert host.state.throttle_counters == {"get_throttled": 0x50000}


def test_jetson_temperature_skips_constants(board):
    """The PMIC's constant 100 °C and a switched-off sensor at −256 °C are no temperatures."""
    state = read_state(board("jetson-nano-jp4"))
    assert state.temperature_c == pytest.approx(39.5)
    assert state.throttle_counters == {"oc1_event_cnt": 2}


def test_x86_throttle_counts_are_summed(board):
    """Core throttle counts of all processors are one counter."""
    root = board("intel-i7-7700k")
    for cpu, count in ((0, 3), (1, 4)):
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle"
        folder.mkdir()
        (folder / "core_throttle_count").write_text(f"{count}\n")
    assert read_state(root).throttle_counters == {"core_throttle_count": 7}


def test_unreadable_zone_is_skipped(board):
    """A zone whose temperature cannot be read does not hide the others."""
    root = board("raspberry-pi-4")
    (root / "sys/class/thermal/thermal_zone1/temp").mkdir(parents=True)
    assert read_state(root).temperature_c == pytest.approx(47.712)


def test_virtual_hosts(board):
    """VM and container are told from bare metal; a container inside a VM counts as a VM."""
    assert find_virtualisation(board("virtual-machine"))[0] == "vm"
    assert find_virtualisation(board("container"))[0] == "container"
    assert find_virtualisation(board("intel-i7-7700k")) == ("", "")
    both = board("virtual-machine")
    (both / ".dockerenv").touch()
    assert find_virtualisation(both)[0] == "vm"


def test_empty_root_knows_nothing(tmp_path):
    """Nothing readable gives None and empty texts, not guesses."""
    host = detect(tmp_path, arch="aarch64", cores_usable=1)
    assert (host.model, host.cpu_model, host.kernel) == ("", "", "")
    assert (host.cores_online, host.memory_bytes) == (None, None)
    assert host.state.temperature_c is None


def test_this_machine():
    """On the real root the usable cores are this process's affinity, or fewer by a quota."""
    cores = detect().cores_usable
    assert cores == len(os.sched_getaffinity(0)) or cores == max(1, int(quota_cores() + 0.01))


@given(st.sets(st.integers(0, 500), min_size=1, max_size=60))
def test_cpu_list_names_its_members(cpus):
    """A kernel list written from a set of processors is read as that set."""
    ordered = sorted(cpus)
    spans = []
    for cpu in ordered:
        if spans and spans[-1][1] == cpu - 1:
            spans[-1][1] = cpu
        else:
            spans.append([cpu, cpu])
    text = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
    assert parse_cpu_list(text) == sorted(cpus)


@pytest.mark.parametrize("text", ["", "a", "3-1", "0-", "-1", "1,,2", "0–3", "0-99999"])
def test_bad_cpu_lists(text):
    """What is not a list names no processor."""
    assert parse_cpu_list(text) == []


@given(st.one_of(st.text(max_size=30), st.from_regex(r"[0-9]{1,4}(-[0-9]{1,6})?", fullmatch=True)))
def test_any_cpu_list_is_survived(text):
    """Random text is a sorted list of processors or an empty one, never a crash or a flood."""
    cpus = parse_cpu_list(text)
    assert cpus == sorted(set(cpus))
    assert len(cpus) <= 65_536


FILES = [
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/1/cgroup",
    "proc/device-tree/model",
    "proc/device-tree/compatible",
    "sys/devices/system/cpu/online",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
    "sys/devices/platform/soc/soc:firmware/get_throttled",
    "sys/class/thermal/thermal_zone0/temp",
    "sys/class/thermal/thermal_zone0/type",
    "sys/class/hwmon/hwmon0/oc1_event_cnt",
]


@given(contents=st.lists(st.binary(max_size=40), min_size=len(FILES), max_size=len(FILES)))
@settings(max_examples=150, deadline=None)
def test_any_file_content_is_survived(tmp_path_factory, contents):
    """Whatever the files hold, detection answers, and numbers come only from digits."""
    root = tmp_path_factory.getbasetemp() / "fuzzed-host"
    for name, content in zip(FILES, contents, strict=True):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    host = detect(root, arch="aarch64", cores_usable=1)
    if host.state.temperature_c is not None:
        digits = (root / "sys/class/thermal/thermal_zone0/temp").read_text().strip()
        assert host.state.temperature_c == int(digits) / 1000


def test_devices_imports_nothing_heavy():
    """Listing devices must answer at once on a small board: no numpy, torch or pandas."""
    code = (
        "import sys, devices.collector, devices.energy, devices.power_model, devices.time_model;"
        "print(sorted({name.split('.')[0] for name in sys.modules}"
        " & {'numpy', 'torch', 'pandas', 'harness', 'models', 'analysis'}))"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
