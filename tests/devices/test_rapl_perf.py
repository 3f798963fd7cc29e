"""RAPL through perf events: which events count, what keeps them closed, what a read means."""

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.energy import energy, rail_energy
from devices.errors import DeviceError
from devices.meters.rapl_perf import RaplPerfMeter, event_attributes, parse_count
from devices.meters.rapl_perf_events import PowerEvent, choose_events, parse_scale
from devices.stream import StreamSet

PMU = "sys/bus/event_source/devices/power"
SCALE = "2.3283064365386962890625e-10"
NUMBERS = {
    "energy-cores": 1,
    "energy-pkg": 2,
    "energy-ram": 3,
    "energy-gpu": 4,
    "energy-psys": 5,
}


def make_host(root, vendor="GenuineIntel", cpumask="0", events=tuple(NUMBERS), kernel="6.8.0"):
    """Write the power PMU of a host as the kernel shows it."""
    texts = {
        "proc/cpuinfo": f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: fpu\n",
        "proc/sys/kernel/osrelease": kernel,
        "proc/sys/kernel/perf_event_paranoid": "4",
        f"{PMU}/type": "30",
        f"{PMU}/cpumask": cpumask,
    }
    for name in events:
        texts[f"{PMU}/events/{name}"] = f"event=0x{NUMBERS.get(name, 9):02x}"
        texts[f"{PMU}/events/{name}.unit"] = "Joules"
        texts[f"{PMU}/events/{name}.scale"] = SCALE
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text + "\n")
    return root


def place(root, packages):
    """Write which package each processor lies in."""
    for cpu, package in packages.items():
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{package}\n")


class FakeKernel:
    """Stand in for the three calls; counts are set by event number and processor."""

    def __init__(self):
        self.counts = {}
        self.closed = {}
        self.open_events = {}
        self.running_ns = 1000
        self.next = 40

    def open(self, attributes, cpu):
        kind, size, config = struct.unpack_from("=IIQ", attributes)
        assert (kind, size, len(attributes)) == (30, 64, 64)
        error = self.closed.get(config) or self.closed.get("all")
        if error:
            raise error
        self.next += 1
        self.open_events[self.next] = (config, cpu)
        return self.next

    def read(self, descriptor):
        count = self.counts.get(self.open_events[descriptor], 0)
        if isinstance(count, Exception):
            raise count
        return struct.pack("=QQQ", count, 1000, self.running_ns)

    def close(self, descriptor):
        del self.open_events[descriptor]


def opened(root, clock, kernel):
    meter = RaplPerfMeter(root, clock, calls=kernel)
    meter.open()
    return meter


def names(meter, role):
    return [rail.name for rail in meter.describe().rails if rail.role == role]


def test_two_intel_sockets(tmp_path, clock):
    """pkg and ram of both sockets are summed, psys is one witness, cores and gpu are left out."""
    meter = opened(make_host(tmp_path, cpumask="0,18"), clock, FakeKernel())
    assert names(meter, "total") == [
        "energy-pkg/cpu0", "energy-pkg/cpu18", "energy-ram/cpu0", "energy-ram/cpu18",
    ]  # fmt: skip
    assert names(meter, "witness") == ["energy-psys/cpu0"]
    info = meter.describe()
    assert {item.name for item in info.rejected} == {"energy-cores", "energy-gpu"}
    assert all("inside energy-pkg" in item.reason for item in info.rejected)
    assert (info.kind, info.scope) == ("counter", "package+dram")
    assert all(rail.wrap_range_j is None for rail in info.rails)


def test_amd_that_advertises_too_much(tmp_path, clock):
    """Of the five events of family 17h only energy-pkg is real."""
    meter = opened(make_host(tmp_path, vendor="AuthenticAMD"), clock, FakeKernel())
    assert names(meter, "total") == ["energy-pkg/cpu0"]
    assert names(meter, "witness") == []
    assert meter.describe().scope == "package"
    reasons = {item.name: item.reason for item in meter.describe().rejected}
    assert "only energy-pkg is real" in reasons["energy-ram"]


def test_amd_dies_of_one_package_count_once(tmp_path, clock):
    """Two dies per package in cpumask: each package is read once."""
    root = make_host(tmp_path, "AuthenticAMD", "0,8,16,24", ("energy-pkg",))
    place(root, {0: 0, 8: 0, 16: 1, 24: 1})
    meter = opened(root, clock, FakeKernel())
    assert names(meter, "total") == ["energy-pkg/cpu0", "energy-pkg/cpu16"]
    assert [item.name for item in meter.describe().rejected] == [
        "energy-pkg/cpu8",
        "energy-pkg/cpu24",
    ]


def test_amd_dies_of_unknown_packages_are_refused(tmp_path):
    """If it cannot be told whether two counters are one, there is no figure."""
    root = make_host(tmp_path, "AuthenticAMD", "0,8", ("energy-pkg",))
    answer = RaplPerfMeter.probe(root, calls=FakeKernel())
    assert (answer.usable, answer.reason_code) == (False, "not-supported")


@pytest.mark.parametrize(
    ("kernel", "usable"), [("5.16.20-generic", False), ("5.17.0", True), ("", False)]
)
def test_amd_before_5_17(tmp_path, kernel, usable):
    """AMD's events were false before Linux 5.17; an unreadable release counts as old."""
    root = make_host(tmp_path, "AuthenticAMD", kernel=kernel)
    answer = RaplPerfMeter.probe(root, calls=FakeKernel())
    assert answer.usable is usable
    assert usable or "5.17" in answer.reason


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("energy-pkg", "event=2"),
        ("energy-pkg", "event=0x02,umask=0x1"),
        ("energy-pkg.unit", "milliJoules"),
        ("energy-pkg.scale", "2,3283e-10"),
        ("energy-pkg.scale", "nan"),
        ("energy-pkg.scale", "-1"),
        ("energy-pkg.scale", ""),
    ],
)
def test_package_event_that_makes_no_sense(tmp_path, file, text):
    """Without number, unit and scale of the package there is no figure, only a reason."""
    root = make_host(tmp_path)
    (root / PMU / "events" / file).write_text(text)
    answer = RaplPerfMeter.probe(root, calls=FakeKernel())
    assert (answer.usable, answer.reason_code) == (False, "not-supported")
    assert "energy-pkg" in answer.reason


def test_unknown_event_is_left_out(tmp_path):
    """An event of next year is reported and not summed."""
    choice = choose_events(make_host(tmp_path, events=("energy-pkg", "energy-moon")))
    assert [event.name for event in choice.totals] == ["energy-pkg"]
    assert choice.rejected[0].name == "energy-moon"


def test_closed_events_are_refused_with_a_fix(tmp_path, clock):
    """EACCES names the setting and its value, and the command that opens the events."""
    kernel = FakeKernel()
    kernel.closed["all"] = PermissionError(13, "Permission denied")
    root = make_host(tmp_path)
    answer = RaplPerfMeter.probe(root, calls=kernel)
    assert (answer.usable, answer.reason_code) == (False, "permission")
    assert "it is 4" in answer.reason
    assert "sysctl kernel.perf_event_paranoid=0" in answer.fix
    with pytest.raises(DeviceError, match="CAP_PERFMON"):
        opened(root, clock, kernel)
    (root / ".dockerenv").write_text("")
    assert "--cap-add PERFMON" in RaplPerfMeter.probe(root, calls=kernel).fix


def test_event_the_kernel_does_not_have(tmp_path):
    """An advertised event of the total that cannot be opened leaves no figure."""
    kernel = FakeKernel()
    kernel.closed[3] = OSError(22, "Invalid argument")
    answer = RaplPerfMeter.probe(make_host(tmp_path), calls=kernel)
    assert (answer.usable, answer.reason_code) == (False, "not-supported")
    assert "energy-ram" in answer.reason


def test_closed_witness_is_noted(tmp_path, clock):
    """A psys that cannot be opened does not cost the headline figure."""
    kernel = FakeKernel()
    kernel.closed[5] = OSError(2, "No such file or directory")
    meter = opened(make_host(tmp_path), clock, kernel)
    assert names(meter, "witness") == []
    assert any("energy-psys" in note for note in meter.describe().notes)


def test_no_power_pmu(tmp_path, board):
    """Without the PMU: no sensor on bare metal, the VM is named on a VM."""
    assert RaplPerfMeter.probe(tmp_path, calls=FakeKernel()).reason_code == "no-sensor"
    vm = RaplPerfMeter.probe(board("virtual-machine"), calls=FakeKernel())
    assert vm.reason_code == "vm"
    assert RaplPerfMeter.probe(tmp_path, {"rate": "1"}, FakeKernel()).reason_code == "bad-option"


def test_events_are_closed(tmp_path, clock):
    """Probing, opening twice and closing twice leaves no event open."""
    kernel = FakeKernel()
    meter = opened(make_host(tmp_path), clock, kernel)
    meter.open()
    assert len(kernel.open_events) == 3
    meter.close()
    meter.close()
    assert kernel.open_events == {}
    with pytest.raises(DeviceError, match="not open"):
        meter.describe()


def test_joules_of_two_sockets(tmp_path, clock):
    """10 W and 20 W with 1 W and 2 W of memory are 33 W: 2^32 counts are one joule."""
    kernel = FakeKernel()
    meter = opened(make_host(tmp_path, cpumask="0-1"), clock, kernel)
    streams = StreamSet(meter.describe(), 0.1)
    powers = {(2, 0): 10, (2, 1): 20, (3, 0): 1, (3, 1): 2, (5, 0): 60}
    for step in range(21):
        clock.now_s = 100.0 + step / 10
        kernel.counts = {key: step * watts * 2**32 // 10 for key, watts in powers.items()}
        for sample in meter.read():
            streams.append(sample)
    assert energy(streams, 100.0, 102.0).energy_j == pytest.approx(66.0, rel=1e-9)
    witness = rail_energy(streams, "energy-psys/cpu0", 100.0, 102.0)
    assert witness.energy_j == pytest.approx(120.0, rel=1e-9)


def test_failing_reads_give_no_value(tmp_path, clock):
    """An error, and a counter that was switched off for a while, are no figures."""
    kernel = FakeKernel()
    meter = opened(make_host(tmp_path, events=("energy-pkg",)), clock, kernel)
    kernel.counts[2, 0] = OSError(19, "No such device")
    assert [sample.value for sample in meter.read()] == [None]
    kernel.counts[2, 0] = 2**33
    assert [sample.value for sample in meter.read()] == [pytest.approx(2.0)]
    for kernel.running_ns in (0, 900):
        assert [sample.value for sample in meter.read()] == [None]


def test_event_that_never_ran_is_no_zero():
    """A count of 0 with no time on the clock was not measured; with time it was."""
    assert parse_count(struct.pack("=QQQ", 0, 0, 0), 1.0) is None
    assert parse_count(struct.pack("=QQQ", 0, 5, 5), 1.0) == 0.0


def test_attributes_follow_the_kernel_header():
    """Type, size, config and read format lie where linux/perf_event.h puts them."""
    data = event_attributes(PowerEvent("energy-pkg", 30, 2, 2.0**-32, 0))
    assert len(data) == 64
    assert struct.unpack_from("=II", data, 0) == (30, 64)
    assert struct.unpack_from("=Q", data, 8) == (2,)
    assert struct.unpack_from("=Q", data, 32) == (3,)
    assert not any(data[16:32])
    assert not any(data[40:])


@given(st.binary(max_size=40))
def test_any_read_is_joules_or_nothing(data):
    """Only 24 bytes of a counter that ran all the time are a figure."""
    value = parse_count(data, 0.5)
    if len(data) != 24:
        assert value is None
    elif value is not None:
        assert value == int.from_bytes(data[:8], sys.byteorder) / 2


@given(st.one_of(st.text(max_size=20), st.floats().map(repr)))
def test_any_scale_is_sane_or_nothing(text):
    """A scale is a positive number below one joule."""
    scale_j = parse_scale(text)
    assert scale_j is None or (0.0 < scale_j < 1.0 and scale_j == float(text))


def test_scale_of_the_kernel():
    """The text the kernel prints for Intel is 2^-32 J to the last digit."""
    assert parse_scale(SCALE) == 2.0**-32


def test_events_of_this_machine_are_not_those_of_a_tree(tmp_path):
    """Without other calls the events would be the running kernel's, wherever the files lie."""
    answer = RaplPerfMeter.probe(make_host(tmp_path))
    assert (answer.usable, answer.reason_code) == (False, "not-supported")
    assert "of this machine" in answer.reason
