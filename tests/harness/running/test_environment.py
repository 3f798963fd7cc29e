"""The manifest says what host and software a run had, and names nobody."""

import subprocess
from types import SimpleNamespace

import pytest

from devices.host import detect
from harness.running.environment import (
    board_hash,
    environment,
    power_mode,
    source_version,
    system_words,
)

SERIAL = "1421222044715"


@pytest.fixture
def jetson(tmp_path):
    """Return a tree with what a Jetson shows of its set-up without any program being run."""
    files = {
        "sys/firmware/devicetree/base/serial-number": SERIAL + "\0",
        "var/lib/nvpmodel/status": "pmode:0002 fmode:quiet",
        "etc/nvpmodel.conf": "< POWER_MODEL ID=2 NAME=MODE_15W >\n",
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic",
        "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "729600",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "1510400",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def test_power_mode_governor_and_clocks_are_recorded(jetson) -> None:
    target = SimpleNamespace(host=detect(jetson), matches=True, threads=2)
    host = environment(target, jetson)["host"]
    assert host["power_mode"] == "MODE_15W (2)"
    assert power_mode(jetson) == "MODE_15W (2)"
    assert host["governor"] == "schedutil"
    assert host["clocks_pinned"] is False
    assert host["clock_limits_hz"] == {"cpu_min_hz": 729_600_000, "cpu_max_hz": 1_510_400_000}
    assert (host["l4t"], host["jetpack"]) == ("36.4.3", "6.2")
    assert host["system"] == "Ubuntu 22.04.5 LTS"
    assert SERIAL not in str(environment(target, jetson))


def test_the_first_screen_says_how_the_host_is_set_up(jetson, tmp_path) -> None:
    """System, JetPack and versions, power mode, governor, and where to read how to pin clocks."""
    words = system_words(jetson)
    assert words.startswith("Ubuntu 22.04.5 LTS, JetPack 6.2, Python 3.")
    assert "torch 2." in words
    assert words.endswith(
        "power mode MODE_15W (2); governor schedutil; clocks not pinned (python -m harness.doctor"
        " says how)"
    )
    assert system_words(tmp_path / "nothing").startswith("Python 3.")


def test_a_host_that_shows_nothing_has_nothing_recorded(tmp_path) -> None:
    """None, never a made-up value."""
    host = environment(SimpleNamespace(host=detect(tmp_path), matches=True, threads=2), tmp_path)[
        "host"
    ]
    assert host["power_mode"] is host["clocks_pinned"] is host["board_hash"] is None
    assert power_mode(tmp_path) is None
    assert host["clock_limits_hz"] == {}
    assert host["fan_pwm"] is None


def test_boards_are_told_apart_without_their_numbers(jetson) -> None:
    """Eight hexadecimal digits; another serial number gives others."""
    first = board_hash(jetson)
    assert len(first) == 8
    int(first, 16)
    (jetson / "sys/firmware/devicetree/base/serial-number").write_text("1421222044716\0")
    assert board_hash(jetson) != first


def test_a_changed_checkout_is_known_by_its_changes(tmp_path) -> None:
    """Equal changes have equal sums, others have others; a clean checkout has none."""

    def git(*words: str) -> None:
        name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", str(tmp_path), *name, *words], check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "file").write_text("one\n")
    git("add", "file")
    git("commit", "-qm", "one")
    clean = source_version(tmp_path)
    assert (clean["dirty"], clean["diff_sha256"]) == (False, None)
    sums = []
    for text in ("two\n", "three\n", "two\n"):
        (tmp_path / "file").write_text(text)
        found = source_version(tmp_path)
        assert found["dirty"] is True
        assert found["commit"] == clean["commit"]
        sums.append(found["diff_sha256"])
    assert sums[0] == sums[2] != sums[1]
