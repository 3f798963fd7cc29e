"""Lines of tegrastats: every known shape from JetPack 4 to 7, and everything that is none."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.meters.tegrastats import connected_rails, parse_line

CAPTURES = Path(__file__).parents[1] / "fixtures" / "boards" / "captures"

# Milliwatts of every rail of every captured line, read by eye from the first number after its name.
EXPECTED = {
    "tegrastats_tx1_jp4": ["VDD_IN 2532 VDD_CPU 76 VDD_GPU 19"],
    "tegrastats_nano_jp4": ["POM_5V_IN 1022 POM_5V_GPU 0 POM_5V_CPU 204"],
    "tegrastats_tx2_jp4": [
        "VDD_SYS_GPU 152 VDD_SYS_SOC 687 VDD_4V0_WIFI 0 VDD_IN 3056 VDD_SYS_CPU 152 "
        "VDD_SYS_DDR 883",
        "VDD_SYS_GPU 182 VDD_SYS_SOC 730 VDD_4V0_WIFI 0 VDD_IN 5297 VDD_SYS_CPU 1917 "
        "VDD_SYS_DDR 1241",
    ],
    "tegrastats_xavier_nx_jp4": [
        "VDD_IN 4067 VDD_CPU_GPU_CV 738 VDD_SOC 1353",
        "VDD_IN 14703 VDD_CPU_GPU_CV 10874 VDD_SOC 1405",
    ],
    "tegrastats_agx_xavier_jp4": ["GPU 0 CPU 311 SOC 932 CV 0 VDDRQ 621 SYS5V 1482"],
    "tegrastats_agx_xavier_jp5_tail": ["GPU 467 CPU 467 SOC 1245 CV 0 VDDRQ 311 SYS5V 2768"],
    "tegrastats_orin_nx_jp5": ["VDD_IN 5299 VDD_CPU_GPU_CV 773 VDD_SOC 1424"],
    "tegrastats_orin_nx_jp6_nonroot": [
        "VDD_IN 7956 VDD_CPU_GPU_CV 2363 VDD_SOC 2506",
        "VDD_IN 4304 VDD_CPU_GPU_CV 573 VDD_SOC 1218",
    ],
    "tegrastats_orin_nano_jp6": ["VDD_IN 12479 VDD_CPU_GPU_CV 4667 VDD_SOC 2817"],
    "tegrastats_agx_orin_jp5_root": [
        "VDD_GPU_SOC 4788 VDD_CPU_CV 798 VIN_SYS_5V0 3842 NC 0 VDDQ_VDD2_1V8AO 707 NC 0"
    ],
    "tegrastats_agx_orin_jp6": [
        "VDD_GPU_SOC 2412 VDD_CPU_CV 1607 VIN_SYS_5V0 4707",
        "VDD_GPU_SOC 2412 VDD_CPU_CV 1607 VIN_SYS_5V0 4607",
        "VDD_GPU_SOC 2412 VDD_CPU_CV 1607 VIN_SYS_5V0 4707",
        "VDD_GPU_SOC 4940 VDD_CPU_CV 988 VIN_SYS_5V0 4442",
    ],
    "tegrastats_thor_r38": [
        "VDD_GPU 0 VDD_CPU_SOC_MSS 4165 VIN_SYS_5V0 4126",
        "VDD_GPU 0 VDD_CPU_SOC_MSS 4923 VIN_SYS_5V0 4327",
        "VDD_GPU 0 VDD_CPU_SOC_MSS 4544 VIN_SYS_5V0 4428",
        "VDD_GPU 1962 VDD_CPU_SOC_MSS 5887 VIN_SYS_5V0 5635 VIN 19780",
    ],
    "tegrastats_thor_r39_three_numbers": ["VDD_GPU 4925 VDD_CPU_SOC_MSS 8710 VIN_SYS_5V0 6767"],
}


def milliwatts(line):
    return [(rail.name, round(rail.power_w * 1000.0)) for rail in parse_line(line)]


def pairs(text):
    words = text.split()
    return list(zip(words[::2], map(int, words[1::2]), strict=True))


def test_every_capture_has_expectations():
    """The table covers every captured file."""
    assert set(EXPECTED) == {path.stem for path in CAPTURES.glob("tegrastats_*.txt")}


@pytest.mark.parametrize("name", EXPECTED)
def test_captured_lines(name):
    """All captures, JetPack 4 to 7, give exactly their rails, in order, repeats included."""
    lines = (CAPTURES / f"{name}.txt").read_text().splitlines()
    assert [milliwatts(line) for line in lines] == [pairs(text) for text in EXPECTED[name]]


@pytest.mark.parametrize(
    ("line", "rails"),
    [
        (
            "VDD_GPU -393mW/-12mW/0mW VIN 19780mW/9890mW/19780mW",
            [("VDD_GPU", -393), ("VIN", 19780)],
        ),
        (
            "tj@54C   VDD_IN   4067/4067\tVDD_SOC\t1353/1353\r",
            [("VDD_IN", 4067), ("VDD_SOC", 1353)],
        ),
        ("VDD_IN 5299mW/5299mW", [("VDD_IN", 5299)]),
        ("VDD_IN 5299mW / 5299mW VDD_SOC 12 mW/12 mW/ 13 mW", [("VDD_IN", 5299), ("VDD_SOC", 12)]),
        ("5V_IN 1022/1022 3V3_SYS -4/0", [("5V_IN", 1022), ("3V3_SYS", -4)]),
        ("VDD_IN 1022/1022\x00", []),
        ("5 1022/1022", []),
        ("VDD_IN 1 / 2 / 3 / 4", []),
        ("RAM 1 / 2 SWAP 3 / 4 VDD_IN 7 / 8", [("VDD_IN", 7)]),
        ("VDD_IN 5299mW\n/5299mW", []),
        ("VDD_IN +5299mW/5299mW", []),
        ("RAM 1/2 SWAP 3/4 IRAM 5/6 VDD_IN 7/8", [("VDD_IN", 7)]),
        ("NC 0mW/0mW NC 40mW/0mW", [("NC", 0), ("NC", 40)]),
        ("", []),
        ("RAM 534/3964MB (lfb 98x4MB) CPU [16%@204] GR3D_FREQ 0%@76 APE 25 PMIC@100C GPU@36C", []),
        ("cpu@34.843C/34.843C GR3D_FREQ @[314,314,314] VIC 59%@423", []),
        ("VDD_IN 5299", []),
        ("VDD_IN 5299mW/", []),
        ("VDD_IN 5299W/5299W", []),
        ("VDD_IN 4,067mW/4,067mW", []),
        ("VDD_IN 4067.5/4067.5", []),
        ("VDD_IN nan/nan", []),
        ("VDD_IN 99999999999/1", []),
        ("VDD_IN 1/2/3/4", []),
        ("CPU@VDD_IN 5/5", []),
        ("WAP 0/1", []),
        ("AM 1/2 VDD_IN 5/5", [("VDD_IN", 5)]),
    ],
)
def test_shapes_of_lines(line, rails):
    """Signs, blanks and units vary; anything that is no whole rail is not read as one."""
    assert milliwatts(line) == rails


def test_unconnected_rails_are_dropped_and_repeats_numbered():
    """NC is never a rail, and no two rails share a name."""
    rails = connected_rails(parse_line("NC 1/1 A 2/2 NC 3/3 A 4/4"))
    assert rails == {"A": 0.002, "A (2)": 0.004}


LINE = (CAPTURES / "tegrastats_agx_orin_jp5_root.txt").read_text().strip()


@given(st.binary(max_size=200))
def test_any_bytes(data):
    """Random bytes never raise and never give more than a kilowatt-sized figure."""
    for rail in parse_line(data.decode("utf-8", "replace")):
        assert abs(rail.power_w) < 10_000.0


@given(st.integers(0, len(LINE)), st.integers(0, len(LINE)))
def test_cut_lines(start, end):
    """Every rail of a line that was cut at both ends stands in the text, followed by its slash."""
    text = LINE[start:end]
    for name, milliwatt in milliwatts(text):
        assert re.search(rf"{name} +{milliwatt}mW/", text)


@given(
    st.lists(
        st.tuples(st.from_regex(r"V[A-Z0-9_]{1,12}", fullmatch=True), st.integers(-9999, 99999)),
        max_size=8,
    ),
    st.sampled_from(["", "mW"]),
    st.integers(2, 3),
)
def test_lines_built_from_rails(rails, unit, numbers):
    """Whatever rails a line is built from come back, in every release's shape."""
    fields = [f"{name} " + "/".join([f"{value}{unit}"] * numbers) for name, value in rails]
    line = "01-01-2026 00:00:00 RAM 1/2MB CPU [1%@2] tj@40C " + "  ".join(fields)
    assert milliwatts(line) == rails
