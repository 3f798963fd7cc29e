"""pyRAPL as a second reader: each of its known faults is a reason, never a wrong number."""

import enum
import importlib
import sys
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.energy import energy
from devices.errors import DeviceError
from devices.meters.packages import Package
from devices.meters.powercap import choose_zones, find_zones
from devices.meters.pyrapl import PACKAGE, PyRaplMeter, SensorReader
from devices.meters.rapl import RaplMeter
from devices.stream import StreamSet

CLASS = "sys/class/powercap"


class FakePyRaplError(Exception):
    """Stand in for PyRAPLException."""


class FakeDevice(enum.IntEnum):
    """Number the two counters of a socket as pyRAPL does."""

    PKG = 0
    DRAM = 1


def make_pyrapl(root, change=None):
    """Build a module that reads zones under `root` the way pyRAPL does: µJ, -1 where none is."""

    class Sensor:
        def __init__(self):
            self.files = {}
            index = 0
            while (zone := root / CLASS / f"intel-rapl:{index}").exists():
                name = (zone / "name").read_text().strip()
                if name.startswith("package-"):
                    socket = int(name.split("-")[1])
                    self.files[2 * socket] = zone / "energy_uj"
                    for child in sorted(root.glob(f"{CLASS}/intel-rapl:{index}:*")):
                        if (child / "name").read_text().strip() == "dram":
                            self.files[2 * socket + 1] = child / "energy_uj"
                index += 1
            if not self.files:
                raise FakePyRaplError

        def energy(self):
            size = 2 * (max(self.files) // 2 + 1)
            values = [-1] * size
            for place, path in self.files.items():
                values[place] = float(path.read_text())
            return change(values) if change else values

    module = types.ModuleType("pyRAPL")
    module.PyRAPLException = FakePyRaplError
    module.Device = FakeDevice
    module.Sensor = Sensor
    return module


def host(board, name, packages):
    """Build a board whose processors 0, 1, … lie in the given packages."""
    root = board(name)
    cpus = root / "sys/devices/system/cpu"
    for cpu, package in enumerate(packages):
        topology = cpus / f"cpu{cpu}/topology"
        topology.mkdir(parents=True, exist_ok=True)
        (topology / "physical_package_id").write_text(f"{package}\n")
    last = len(packages) - 1
    (cpus / "present").write_text(f"0-{last}\n" if last else "0\n")
    return root


def opened(root, clock, module=None):
    meter = PyRaplMeter(root, clock, module=module or make_pyrapl(root))
    meter.open()
    return meter


@pytest.mark.parametrize(
    ("name", "packages"),
    [
        ("intel-i7-7700k", [0, 0]),
        ("intel-xeon-6254-2s", [0, 1]),
        ("intel-xeon-2s-dram-psys", [0, 1]),
        ("amd-ryzen", [0, 0]),
        ("intel-core-ultra-255h", [0, 0]),
        ("intel-twelve-sockets", list(range(12))),
    ],
)
def test_same_rails_and_values_as_rapl(board, clock, name, packages):
    """Where pyRAPL works it gives the joules, totals and wrap ranges of the powercap reader."""
    root = host(board, name, packages)
    assert PyRaplMeter.probe(root, module=make_pyrapl(root)).usable
    meter = opened(root, clock)
    own = RaplMeter(root, clock)
    own.open()
    totals = [rail for rail in own.describe().rails if rail.role == "total"]
    own_values = [sample.value for sample in own.read()][: len(totals)]
    assert list(meter.describe().rails) == totals
    assert [sample.value for sample in meter.read()] == own_values
    assert meter.describe().scope == own.describe().scope
    own.close()
    meter.close()
    assert meter.read() == []
    with pytest.raises(DeviceError, match="not open"):
        meter.describe()


def test_psys_is_said_to_be_unread(board, clock):
    """pyRAPL does not read psys, and the description says so."""
    meter = opened(host(board, "intel-xeon-2s-dram-psys", [0, 1]), clock)
    assert {"psys"} <= {item.name for item in meter.describe().rejected}


def refused(root, words, module=None):
    answer = PyRaplMeter.probe(root, module=module or make_pyrapl(root))
    assert (answer.usable, answer.reason_code) == (False, "not-supported")
    assert words in answer.reason
    assert answer.fix


def not_opened(root, clock, words, module):
    """Expect a fault that only pyRAPL itself can show: the file tree promises well."""
    assert PyRaplMeter.probe(root, module=module).usable
    meter = PyRaplMeter(root, clock, module=module)
    with pytest.raises(DeviceError, match=f"meter pyrapl: .*{words}") as caught:
        meter.open()
    assert caught.value.remedy
    assert meter.read() == []


def test_gap_in_the_zones(board):
    """pyRAPL stops at a gap: a second socket behind it would be lost in silence."""
    root = host(board, "intel-xeon-6254-2s", [0, 1])
    (root / CLASS / "intel-rapl:1").rename(root / CLASS / "intel-rapl:2")
    refused(root, "gap")


@pytest.mark.parametrize(
    ("name", "packages"),
    [("intel-two-dies", [0, 0]), ("amd-die-twins", [0, 0]), ("intel-xeon-6254-2s", [0, 1, 2])],
)
def test_zones_that_do_not_match_the_sockets(board, name, packages):
    """Dies, or a socket without a zone: pyRAPL cannot start, and the reason is told first."""
    refused(host(board, name, packages), "one package zone per socket")


def test_offline_processor(board):
    """A present processor without topology crashes pyRAPL: the fix switches it on."""
    root = host(board, "intel-i7-7700k", [0, 0])
    (root / "sys/devices/system/cpu/cpu1/topology/physical_package_id").unlink()
    refused(root, "cpu1 is offline")
    (root / "sys/devices/system/cpu/present").write_text("")
    refused(root, "cannot be listed")


def test_memory_mapped_zones_only(board):
    """pyRAPL does not look at intel-rapl-mmio."""
    root = host(board, "intel-core-ultra-255h", [0, 0])
    for zone in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
        for file in (root / CLASS / zone).iterdir():
            file.unlink()
        (root / CLASS / zone).rmdir()
    refused(root, "misses intel-rapl-mmio:0")


def test_closed_counter_is_a_permission_problem(board):
    """What pyRAPL raises untranslated is said with the command of meter rapl."""
    root = host(board, "intel-i7-7700k", [0, 0])

    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    answer = PyRaplMeter.probe(root, module=make_pyrapl(root), opener=closed)
    assert (answer.meter, answer.reason_code) == ("pyrapl", "permission")
    assert "udev" in answer.fix


def test_virtual_machine(board):
    """Without zones the reason is the one of meter rapl."""
    answer = PyRaplMeter.probe(board("virtual-machine"))
    assert (answer.meter, answer.reason_code) == ("pyrapl", "vm")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: [value / 1e6 for value in values], "is not its counter"),
        (lambda values: [value + 1 for value in values], "is not its counter"),
        (lambda values: values[::-1], "is not its counter"),
        (lambda values: values[:1], "no figure for package-0/dram"),
        (lambda values: [-1.0] * len(values), "no figure for package-0"),
        (lambda values: [float("nan")] * len(values), "no figure for package-0"),
    ],
)
def test_wrong_figures_are_found_at_the_start(board, clock, change, words):
    """Another unit, another order or a missing counter is compared with the files and refused."""
    root = host(board, "intel-i7-7700k", [0, 0])
    not_opened(root, clock, words, make_pyrapl(root, change))


@pytest.mark.parametrize("error", [FakePyRaplError(), PermissionError(13, "denied"), ValueError()])
def test_pyrapl_that_cannot_start(board, clock, error):
    """Whatever pyRAPL raises at the start is a reason, and opening is the typed error."""
    root = host(board, "amd-ryzen", [0, 0])
    module = make_pyrapl(root)

    def fail():
        raise error

    module.Sensor = fail
    not_opened(root, clock, "pyRAPL cannot start", module)


def test_another_package_of_that_name(board, clock):
    """A module without pyRAPL's parts is not pyRAPL."""
    root = host(board, "amd-ryzen", [0, 0])
    not_opened(root, clock, "is not pyRAPL", types.ModuleType("pyRAPL"))


def test_probe_looks_but_does_not_import(board, tmp_path, monkeypatch):
    """An installed pyRAPL is found without being run; one that is not installed is named."""
    root = host(board, "amd-ryzen", [0, 0])
    meter = PyRaplMeter(root)
    real_check = PACKAGE.check
    monkeypatch.setattr(Package, "check", lambda _package, _root: real_check(Path("/")))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "packages")])
    assert PyRaplMeter.probe(root).reason == "the package pyRAPL is not installed"
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/pyRAPL.py").write_text("raise ImportError('pandas is too old')\n")
    importlib.invalidate_caches()
    assert PyRaplMeter.probe(root).usable
    assert "pyRAPL" not in sys.modules
    with pytest.raises(DeviceError, match="cannot be imported: pandas is too old"):
        meter.open()


def test_this_machine_only(board):
    """pyRAPL cannot be pointed at another tree, so it is not asked about one."""
    answer = PyRaplMeter.probe(host(board, "amd-ryzen", [0, 0]))
    assert not answer.usable
    assert "this machine only" in answer.reason


def test_wrap_is_energy_and_not_none(board, clock):
    """A counter that passes its range gives the joules drawn, where pyRAPL itself gives None."""
    root = host(board, "amd-ryzen", [0, 0])
    meter = opened(root, clock)
    streams = StreamSet(meter.describe(), 0.1)
    range_uj = 65_532_610_987
    for step in range(11):
        clock.now_s = 100.0 + step / 10
        count_uj = (range_uj - 10_000_000 + step * 2_000_000) % range_uj
        (root / CLASS / "intel-rapl:0/energy_uj").write_text(f"{count_uj}\n")
        for sample in meter.read():
            streams.append(sample)
    reading = energy(streams, 100.0, 101.0)
    assert reading.energy_j == pytest.approx(20.0, rel=1e-6)
    assert reading.wraps == 1


def test_failures_in_mid_run_are_no_values(board, clock):
    """A vanished or unreadable counter is a failed read of pyRAPL, not an exception or a zero."""
    root = host(board, "intel-i7-7700k", [0, 0])
    meter = opened(root, clock)
    path = root / CLASS / "intel-rapl:0/energy_uj"
    path.write_text("nonsense")
    assert [sample.value for sample in meter.read()] == [None, None]
    path.unlink()
    assert [sample.value for sample in meter.read()] == [None, None]


@given(
    st.lists(
        st.one_of(
            st.floats(), st.integers(), st.just(10**400), st.none(), st.text(), st.booleans()
        ),
        max_size=5,
    )
)
def test_any_answer_is_joules_or_nothing(tmp_path_factory, answer):
    """Random lists from pyRAPL give a non-negative finite figure or none."""
    root = tmp_path_factory.getbasetemp() / "fuzzed-pyrapl"
    zone = root / CLASS / "intel-rapl:0"
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "name").write_text("package-0\n")
    (zone / "energy_uj").write_text("5000000\n")
    choice = choose_zones(find_zones(root), root)
    reader = SensorReader(make_pyrapl(root, lambda _values: answer), choice)
    (value,) = reader.read_joules()
    given_number = answer and type(answer[0]) in (int, float)
    if given_number and 0 <= answer[0] < 2**64:
        assert value == answer[0] / 1e6
    else:
        assert value is None
