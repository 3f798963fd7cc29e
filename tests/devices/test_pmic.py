"""Raspberry Pi 5: rails of the power management chip, paired by name, and a firmware that fails."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.energy import energy
from devices.errors import DeviceError
from devices.meters.pmic import FITTED_RAIL, PmicMeter, fitted_input_w, parse_adc
from devices.meters.usability import try_out
from devices.programs import Answer
from devices.stream import StreamSet

CAPTURES = Path(__file__).parents[1] / "fixtures" / "boards" / "captures"
CAPTURE = (CAPTURES / "pi5_pmic_read_adc_a_noisy_core.txt").read_text()

# Current and voltage of each rail, copied from the capture's two halves; power is their product.
RAILS = {
    "3V7_WL_SW": (0.0, 3.79999600),
    "3V3_SYS": (0.06245952, 3.30632200),
    "1V8_SYS": (0.16102850, 1.79828900),
    "DDR_VDD2": (0.00780744, 1.10292900),
    "DDR_VDDQ": (0.0, 0.60476130),
    "1V1_SYS": (0.17566740, 1.10439400),
    "0V8_SW": (0.32791250, 0.80256330),
    "VDD_CORE": (10.87674000, 0.89745940),
    "3V3_DAC": (0.00036630, 3.30494200),
    "3V3_ADC": (0.00042735, 3.30219400),
    "0V8_AON": (0.00579975, 0.79736190),
    "HDMI": (0.01367520, 5.07056000),
}
WATTS = {name: amperes * volts for name, (amperes, volts) in RAILS.items()}


class Firmware:
    """Answer as told and count the questions."""

    def __init__(self, text=CAPTURE, code=0, errors=""):
        self.output = Answer(code, text, errors)
        self.commands = []

    def __call__(self, command, timeout_s):
        self.commands.append(command)
        return self.output


@pytest.fixture
def pi5(board):
    """Return the root of a Pi 5 that has the program."""
    root = board("raspberry-pi-5")
    program = root / "usr/bin/vcgencmd"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{CAPTURE}END\n")
    program.chmod(0o755)
    return root


def opened(root, clock, firmware):
    meter = PmicMeter(root, clock, run=firmware)
    meter.open()
    return meter


def test_capture():
    """Twelve rails have a power; the input and the battery have a voltage only."""
    powers = parse_adc(CAPTURE)
    assert {k: v for k, v in powers.items() if v is not None} == pytest.approx(WATTS)
    assert [name for name, power in powers.items() if power is None] == ["EXT5V", "BATT"]


def test_pairs_by_name_not_by_order():
    """The same lines in any order mean the same."""
    shuffled = "\n".join(sorted(CAPTURE.splitlines(), key=lambda line: line[::-1]))
    assert parse_adc(shuffled) == parse_adc(CAPTURE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        'error=1 error_msg="Command not registered"',
        "HDMI_A current(22)=0.5A",
        "HDMI_V volt(23)=5.0V",
        "HDMI_A current(22)=0,5A\nHDMI_V volt(23)=5,0V",
        "HDMI_A current(22)=nanA\nHDMI_V volt(23)=5.0V",
        "HDMI_A current(22)=infA\nHDMI_V volt(23)=5.0V",
        "HDMI_A current(22)=99999999A\nHDMI_V volt(23)=5.0V",
        "HDMI_A current(22)=0.5\nHDMI_V volt(23)=5.0V",
        "HDMI_A current(22)=0.5A\nHDMI_V volt(23)=5.",
        "HDMI_A volt(22)=0.5V\nHDMI_V current(23)=5.0A",
        "HDMI_A current(22)=0.5A\nHDMI_A current(22)=0.7A\nHDMI_V volt(23)=5.0V",
    ],
)
def test_no_power_without_a_whole_pair(text):
    """Half a pair, a cut line, another locale or a repeated line is no power."""
    assert all(power is None for power in parse_adc(text).values())


def test_negative_current_is_kept():
    """A small negative current is what the converter said."""
    text = "HDMI_A current(22)=-0.01A\nHDMI_V volt(23)=5.0V"
    assert parse_adc(text) == {"HDMI": pytest.approx(-0.05)}


@given(st.text(max_size=200))
def test_any_text(text):
    """Random text never raises and never gives a number."""
    assert not [power for power in parse_adc(text).values() if power is not None]


@given(st.text("0123456789.,-+eEnaif ", max_size=12))
def test_any_number(number):
    """A current is read as plain decimal digits or not at all."""
    power = parse_adc(f"HDMI_A current(22)={number}A\nHDMI_V volt(23)=5.0V")["HDMI"]
    if power is not None:
        assert power == pytest.approx(float(number) * 5.0)
        assert set(number) <= set("0123456789.-")


@given(st.integers(0, len(CAPTURE)))
def test_cut_output(length):
    """A cut output gives true powers only: of rails whose two lines are whole."""
    for name, power in parse_adc(CAPTURE[:length]).items():
        assert power is None or power == pytest.approx(WATTS[name])


def test_total_is_the_sum_and_the_fit_a_witness(pi5, clock):
    """Joules are those of the twelve rails; the fitted figure is beside them and says modelled."""
    meter = opened(pi5, clock, Firmware())
    info = meter.describe()
    streams = StreamSet(info, 0.5)
    for _ in range(30):
        for sample in meter.read():
            streams.append(sample)
        clock.sleep(0.5)
    reading = energy(streams, 101.0, 111.0)
    assert reading.energy_j == pytest.approx(math.fsum(WATTS.values()) * 10.0)
    assert reading.scope == "board without 5 V loads"
    witnesses = [rail.name for rail in info.rails if rail.role == "witness"]
    assert witnesses == [FITTED_RAIL]
    assert "modelled" in FITTED_RAIL
    fitted = streams.stream(FITTED_RAIL).power_w[0]
    assert fitted == pytest.approx(1.1451 * math.fsum(WATTS.values()) + 0.5879)
    assert info.max_rate_hz == 2.0
    assert [item.name for item in info.rejected] == ["EXT5V", "BATT"]


def test_fit():
    """The published line: 1.1451 P + 0.5879 W."""
    assert fitted_input_w(2.0) == pytest.approx(2.8781)


def test_program_is_run_with_its_arguments(pi5, clock):
    """The real runner works on a program under the root, which is asked for one command."""
    firmware = Firmware()
    opened(pi5, clock, firmware)
    assert firmware.commands[0] == [str(pi5 / "usr/bin/vcgencmd"), "pmic_read_adc"]
    meter = PmicMeter(pi5, clock)
    meter.open()
    values = [sample.value for sample in meter.read()]
    assert values[:12] == pytest.approx(list(WATTS.values()))


@pytest.mark.parametrize(
    "output",
    [
        Answer(None, CAPTURE),
        Answer(1, CAPTURE),
        Answer(0, ""),
        Answer(0, "\x00\xff rubbish"),
    ],
)
def test_failed_answers_have_no_values(pi5, clock, output):
    """A firmware that hangs, fails or talks rubbish gives failed reads of every rail."""
    firmware = Firmware()
    meter = opened(pi5, clock, firmware)
    firmware.output = output
    assert [sample.value for sample in meter.read()] == [None] * 13


def test_one_missing_rail(pi5, clock):
    """One rail without answer fails alone, but the fitted figure needs all of them."""
    firmware = Firmware()
    meter = opened(pi5, clock, firmware)
    firmware.output = Answer(0, CAPTURE.replace("HDMI_A current", "HDMI_A rubbish"))
    values = {
        rail.name: sample.value
        for rail, sample in zip(meter.describe().rails, meter.read(), strict=True)
    }
    assert values["HDMI"] is None
    assert values[FITTED_RAIL] is None
    assert values["VDD_CORE"] == pytest.approx(WATTS["VDD_CORE"])


@pytest.mark.parametrize(
    ("firmware", "code", "fix"),
    [
        (Firmware('error=1 error_msg="Command not registered"'), "not-supported", ""),
        (Firmware("", 255, "Can't open device file: /dev/vcio"), "permission", "usermod"),
        (Firmware("VCHI initialization failed", 255), "permission", "usermod"),
        (Firmware("", None), "no-sensor", "reboot"),
        (Firmware(CAPTURE.replace("VDD_CORE_A", "VDD_CORE_B")), "no-sensor", ""),
    ],
)
def test_reasons(pi5, clock, firmware, code, fix):
    """Each way to fail has its own reason and, where there is one, the command that mends it."""
    answer = PmicMeter.probe(pi5, run=firmware)
    assert (answer.usable, answer.reason_code) == (False, code)
    assert fix in answer.fix
    assert answer.reason
    with pytest.raises(DeviceError, match="meter pmic"):
        opened(pi5, clock, firmware)


def test_missing_program(board):
    """On a Pi the program can be installed; elsewhere there is nothing to install."""
    pi = PmicMeter.probe(board("raspberry-pi-4"))
    other = PmicMeter.probe(board("jetson-nano-jp4"))
    assert (pi.reason_code, pi.fix[:9]) == ("no-sensor", "sudo apt ")
    assert (other.reason_code, other.fix) == ("no-sensor", "")
    assert PmicMeter.probe(board("raspberry-pi-5"), {"x": "1"}).reason_code == "bad-option"


def test_unknown_board_has_no_total(pi5, clock):
    """Without a profile the rails are witnesses and nothing is fitted."""
    (pi5 / "proc/device-tree/compatible").write_text("somebody,board\0")
    (pi5 / "proc/device-tree/model").write_text("Board\0")
    info = opened(pi5, clock, Firmware()).describe()
    assert {rail.role for rail in info.rails} == {"witness"}
    assert FITTED_RAIL not in [rail.name for rail in info.rails]


def test_not_open():
    """Before `open` there are neither samples nor a description."""
    meter = PmicMeter()
    assert meter.read() == []
    with pytest.raises(DeviceError, match="not open"):
        meter.describe()


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        (0, CAPTURE, ""),
        (0, re.sub(r"=[0-9.]+A", "=0.0A", CAPTURE), "it reads 0 W, below"),
        (0, CAPTURE.replace("current(7)=10.87", "current(7)=99.87"), "VDD_CORE reads 89"),
        (1, "", "gave 0 readings"),
    ],
)
def test_the_firmware_s_figures_must_be_those_of_the_board(pi5, clock, code, text, words):
    """Zeros, a rail beyond the board, and a firmware that stopped answering are no meter."""
    firmware = Firmware()
    meter = opened(pi5, clock, firmware)
    firmware.output = Answer(code, text)
    fault = try_out(meter, clock.sleep).fault
    assert words in fault
    assert bool(fault) == bool(words)
