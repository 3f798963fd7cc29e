"""Build whole fake hosts: files from the board fixtures, programs as scripts in `bin/`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

BOARDS = Path(__file__).parents[2] / "fixtures" / "boards"


def add_files(root: Path, files: Mapping[str, str]) -> None:
    """Write files below a root."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def add_program(root: Path, name: str, answers: Mapping[str, str]) -> None:
    """Write a script that prints an answer for its arguments joined by blanks, else fails."""
    cases = "".join(
        f"{shlex.quote(words)}) printf %s {shlex.quote(text)}; exit 0 ;;\n"
        for words, text in answers.items()
    )
    script = root / "bin" / name
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}esac\necho unknown option >&2\nexit 1\n')
    script.chmod(0o755)


def add_facts(root: Path, **facts: object) -> None:
    """Write the facts that a recorded tree has beside its files."""
    (root / "host.json").write_text(json.dumps(facts))


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that builds a named board and gives its root."""

    def build(name: str) -> Path:
        root = tmp_path / name
        files = {}
        for line in (BOARDS / f"{name}.tsv").read_text().splitlines():
            path, _, content = line.partition("\t")
            for escape, character in (("\\n", "\n"), ("\\t", "\t"), ("\\0", "\0")):
                content = content.replace(escape, character)
            files[path] = content
        add_files(root, files)
        return root

    return build


@pytest.fixture
def files() -> Callable[[Path, Mapping[str, str]], None]:
    return add_files


@pytest.fixture
def program() -> Callable[[Path, str, Mapping[str, str]], None]:
    return add_program


@pytest.fixture
def facts() -> Callable[..., None]:
    return add_facts


@pytest.fixture
def orin_nano(tree) -> Path:
    """An Orin Nano in its 15W mode, clocks not pinned, with the rails of its power monitor."""
    root = tree("jetson-orin-nano")
    rails = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    readings = {1: ("VDD_IN", 4984, 1856), 2: ("VDD_CPU_GPU_CV", 4976, 320),
                3: ("VDD_SOC", 4976, 240)}  # fmt: skip
    text = {f"{rails}/name": "ina3221\n"}
    for channel, (label, millivolts, milliamperes) in readings.items():
        text |= {
            f"{rails}/in{channel}_label": f"{label}\n",
            f"{rails}/in{channel}_input": f"{millivolts}\n",
            f"{rails}/curr{channel}_input": f"{milliamperes}\n",
        }
    text["etc/nvpmodel.conf"] = (
        "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=25W >\n"
        "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=1 >\n"
    )
    text["etc/nv_tegra_release"] = (
        "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"
    )
    for core in range(6):
        cpufreq = f"sys/devices/system/cpu/cpu{core}/cpufreq"
        text |= {
            f"{cpufreq}/scaling_min_freq": "729600\n",
            f"{cpufreq}/scaling_max_freq": "1510400\n",
            f"{cpufreq}/scaling_governor": "schedutil\n",
        }
    text["sys/devices/system/cpu/online"] = "0-5\n"
    add_files(root, text)
    add_program(root, "nvpmodel", {"-q": "NV Fan Mode:quiet\nNV Power Mode: 15W\n0\n"})
    return root


@pytest.fixture
def pi_5(tree) -> Path:
    """A Pi 5 that was short of power since its start; each of its PMIC rails takes 0.5 W."""
    root = tree("raspberry-pi-5")
    rails = [
        "3V7_WL_SW", "3V3_SYS", "1V8_SYS", "DDR_VDD2", "DDR_VDDQ", "1V1_SYS", "0V8_SW", "VDD_CORE",
        "3V3_DAC", "3V3_ADC", "0V8_AON", "HDMI",
    ]  # fmt: skip
    currents = [f" {rail}_A current({i})=0.25000000A" for i, rail in enumerate(rails)]
    volts = [f" {rail}_V volt({i + 8})=2.00000000V" for i, rail in enumerate(rails)]
    adc = "\n".join([*currents, *volts, " EXT5V_V volt(24)=5.10000000V"]) + "\n"
    add_program(
        root,
        "vcgencmd",
        {
            "pmic_read_adc": adc,
            "get_throttled": "throttled=0x50000\n",
            "measure_temp": "temp=47.7'C\n",
        },
    )
    return root
