"""A run waits for its GPU to cool down too, and writes down what it has waited for."""

from devices.accelerator import Accelerator
from harness.measurement.cooling import parse_cool_down
from harness.measurement.idle import IdlePower
from harness.measurement.measuring import MeasuringSession
from harness.measurement.meters import MeterSet
from harness.running.between_cells import BetweenCells
from tests.devices.test_gpu_heat import ORIN, board


def between(root, how, trains=ORIN, before_w=None):
    session = MeasuringSession(MeterSet((), "none"), idle=IdlePower(before_w=before_w))
    return BetweenCells(parse_cool_down(how), trains, session, root)


def heated(root, kind, celsius):
    for zone in (root / "sys/class/thermal").iterdir():
        if (zone / "type").read_text().startswith(kind):
            (zone / "temp").write_text(f"{1000 * celsius:.0f}\n")


def test_a_gpu_that_is_still_warm_makes_the_next_start_a_warm_one(tmp_path):
    """The processor is hotter all the time, so that the hottest zone says nothing of the GPU."""
    root = board(tmp_path, cpu_thermal=70_000, gpu_thermal=40_000)
    pauses = between(root, "0")
    pauses.begin()
    calm = {}
    for celsius in (43.0, 43.5):
        heated(root, "gpu", celsius)
        calm[celsius] = pauses.cool_down(100.0).calm
    assert calm == {43.0: True, 43.5: False}
    without = between(root, "0", Accelerator())
    without.begun = pauses.begun
    assert without.cool_down(100.0).calm is True


def test_auto_goes_on_as_soon_as_the_gpu_is_cool_and_all_is_recorded(tmp_path):
    root = board(tmp_path, cpu_thermal=50_000, gpu_thermal=40_000)
    pauses = between(root, "auto")
    pauses.begin()
    heated(root, "gpu", 42.0)
    found = pauses.cool_down(1000.0)
    assert pauses.recorded(found) == {
        "waited_s": 0.0,
        "baseline": {"temperature_c": 50.0, "power_w": None, "gpu_temperature_c": 40.0},
        "now": {"temperature_c": 50.0, "power_w": None, "gpu_temperature_c": 42.0},
    }
    assert [s.label.phase for s in pauses.session.log.segments] == ["cool-down"]
