"""Check bills against power streams whose energy is known in closed form."""

import pytest

from devices.meters.base import MeterInfo, Rail, RawSample
from devices.power_model import PowerModel
from devices.stream import StreamSet
from devices.time_model import HostTiming, TimeModel
from harness.federated.server import averaging
from harness.measurement.cost import Accountant, DeviceModel
from harness.measurement.phases import PhaseLog
from harness.records.cost import cell_cost
from harness.records.phases import Label
from harness.workloads.multitask.work import training

POWER = PowerModel(idle_w=2.0, full_load_w=10.0, cores=4, source="test")


def _segments():
    """Idle 0-2, train 2-6, evaluate 6-7, aggregate 7-9, of 4 cores one and a half busy."""
    now = [0.0]
    log = PhaseLog(lambda: now[0], lambda: 1.5 * now[0])
    for phase, end in (("idle", 2.0), ("train", 6.0), ("evaluate", 7.0), ("aggregate", 9.0)):
        with log.phase(Label(phase, "c")):
            now[0] = end
            if phase == "train":
                log.work(training("sd", 10))
            if phase == "aggregate":
                log.work(averaging(1000))
    return log.segments


def _streams(power_w=lambda t: 5.0, until_s: float = 10.0) -> StreamSet:
    info = MeterInfo("test", "sampled", "board", (Rail("in"),), max_rate_hz=10.0)
    streams = StreamSet(info, 0.1)
    for i in range(round(until_s * 10) + 1):
        t = i / 10
        streams.append(RawSample(0, t, t, power_w(t)))
    return streams


def test_only_charged_phases_are_on_the_bill() -> None:
    """Constant 5 W: train 4 s and aggregate 2 s cost 30 J; idle and evaluate are kept apart."""
    streams = _streams()
    figures = [Accountant(POWER, None).figures(s, streams) for s in _segments()]

    result = cell_cost(figures, streams, "")

    assert result.time_s == pytest.approx(6.0)
    assert result.energy_j == pytest.approx(30.0, rel=1e-9)
    assert result.energy_reason == ""
    assert [f.reading.energy_j for f in figures] == pytest.approx([10.0, 20.0, 5.0, 10.0])


def test_a_ramp_is_integrated_exactly() -> None:
    """Power t watts: train 2-6 s costs 16 J, aggregate 7-9 s another 16 J."""
    streams = _streams(lambda t: t)
    figures = [Accountant(POWER, None).figures(s, streams) for s in _segments()]

    assert cell_cost(figures, streams, "").energy_j == pytest.approx(32.0, rel=1e-9)


def test_a_spoilt_phase_leaves_no_figure_but_a_reason() -> None:
    """If the recording ends in the middle there are no joules, never fewer joules."""
    streams = _streams(until_s=5.0)
    figures = [Accountant(POWER, None).figures(s, streams) for s in _segments()]

    result = cell_cost(figures, streams, "")

    assert result.energy_j is None
    assert result.energy_error_j is None
    assert "last sample" in result.energy_reason


def test_without_a_meter_energy_is_missing_and_modelled_beside() -> None:
    """No sensor is None with its reason; the model gives idle·t plus the busy share, in its field.

    6 charged seconds at 1.5 of 4 cores: 2·6 + 8·6·1.5/4 = 30 J.
    """
    figures = [Accountant(POWER, None).figures(s, None) for s in _segments()]

    result = cell_cost(figures, None, "no sensor here")

    assert (result.energy_j, result.energy_reason) == (None, "no sensor here")
    assert result.energy_model_j == pytest.approx(30.0)
    assert result.time_model_s is None


def test_another_device_is_modelled_from_counted_work() -> None:
    """Ten images of two tasks: 30 forwards each of encoder and decoders, plus 3 kB of averaging.

    30·(0.1 + 0.02 + 0.03) + 3000/1000 = 7.5 s at full load, 75 J.
    """
    parts = {"encoder": 0.1, "s": 0.02, "d": 0.03}
    host = HostTiming(parts, dict.fromkeys(parts, 0.5), 1e9, 1000.0)
    device = DeviceModel(TimeModel(1e9, 1000.0), host)
    figures = [Accountant(POWER, device).figures(s, None) for s in _segments()]

    result = cell_cost(figures, None, "none")

    assert result.time_model_s == pytest.approx(7.5)
    assert result.energy_model_j == pytest.approx(75.0)
    assert result.time_s == pytest.approx(6.0)
