"""In a container one line says how it is started so that it sees what measures the board."""

import re
import shlex
from pathlib import Path

import pytest

from devices.container_start import BOARDS, IMAGE, start_line, start_lines
from devices.host import detect
from tests.devices.test_container import ARM, DOCKER, JETSON, POD, PODMAN
from tests.devices.test_virtual import write

INTEL = {"proc/cpuinfo": "vendor_id\t: GenuineIntel\n"}
PI = {"proc/cpuinfo": ARM + "\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"}


def lines(folder, tree, arch):
    root = write(folder, tree)
    return start_lines(detect(root, arch), root)


@pytest.mark.parametrize(
    ("tree", "arch", "board", "flags"),
    [
        (INTEL, "x86_64", "x86 with RAPL", ["--security-opt systempaths=unconfined",
         "-v /sys/devices/virtual/powercap:/sys/devices/virtual/powercap:ro"]),
        (JETSON, "aarch64", "Jetson", ["--security-opt systempaths=unconfined", "-v /sys:/sys:ro",
         "-v /etc/nvpmodel.conf:/etc/nvpmodel.conf:ro"]),
        (PI, "aarch64", "Raspberry Pi", ["--device /dev/vcio",
         "-v /usr/bin/vcgencmd:/usr/bin/vcgencmd:ro"]),
    ],
    ids=["x86", "jetson", "pi"],
)  # fmt: skip
def test_each_board_has_its_line(tmp_path, tree, arch, board, flags):
    found = lines(tmp_path, {**tree, **DOCKER}, arch)
    assert list(found) == [board]
    assert all(flag in found[board] for flag in flags)
    words = shlex.split(found[board])
    assert (words[:2], words[-2:]) == (["docker", "run"], [IMAGE, "doctor"])


def test_words_are_those_of_the_runtime(tmp_path):
    assert "--security-opt unmask=/sys/firmware" in lines(tmp_path / "a", {**PI, **PODMAN},
                                                          "aarch64")["Raspberry Pi"]  # fmt: skip
    assert lines(tmp_path / "b", {**PI, **POD}, "aarch64") == {}


def test_a_board_that_is_hidden_may_be_either_and_a_bare_one_needs_no_line(tmp_path):
    nameless = {"proc/cpuinfo": ARM}
    found = lines(tmp_path / "a", {**nameless, **DOCKER}, "aarch64")
    assert list(found) == ["Jetson", "Raspberry Pi"]
    assert lines(tmp_path / "b", nameless, "aarch64") == {}


def test_the_manual_has_these_lines():
    """Every line of the page is one that the doctor prints, with whatever command behind it."""
    page = (Path(__file__).parents[2] / "docs" / "containers.md").read_text(encoding="utf-8")
    assert all(start_line(board) in page for board in BOARDS)
    for line in re.findall(r"^docker run .*$", page, re.M):
        head = line.split(f" {IMAGE} ")[0]
        assert head in {start_line(board).split(f" {IMAGE} ")[0] for board in BOARDS}, line
