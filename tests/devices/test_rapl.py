"""RAPL through powercap: which zones count, what is refused, and how reads fail."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.energy import energy, rail_energy
from devices.errors import DeviceError
from devices.meters.rapl import RaplMeter, open_readonly, parse_microjoules
from devices.stream import StreamSet

CLASS = "sys/class/powercap"


def opened(root, clock, opener=open_readonly):
    meter = RaplMeter(root, clock, opener=opener)
    meter.open()
    return meter


@pytest.mark.parametrize(
    ("name", "totals", "witnesses", "scope"),
    [
        ("intel-core-ultra-255h", ["package-0"], ["psys"], "package"),
        ("intel-i7-7700k", ["package-0", "package-0/dram"], [], "package+dram"),
        ("intel-xeon-6254-2s", ["package-0", "package-1"], [], "package"),
        (
            "intel-xeon-2s-dram-psys",
            ["package-0", "package-1", "package-0/dram", "package-1/dram"],
            ["psys"],
            "package+dram",
        ),
        ("intel-two-dies", ["package-0-die-0", "package-0-die-1"], [], "package"),
        ("amd-ryzen", ["package-0"], [], "package"),
        ("amd-die-twins", ["package-0-die-0"], [], "package"),
        ("amd-numbered-twins", ["package-0"], [], "package"),
        ("laptop-dtpm", ["package-0"], ["psys"], "package"),
        ("intel-twelve-sockets", [f"package-{n}" for n in range(12)], [], "package"),
    ],
)
def test_zones_of_known_hosts(board, clock, name, totals, witnesses, scope):
    """Exactly the zones that make up the whole are summed; psys is only a witness."""
    meter = opened(board(name), clock)
    info = meter.describe()
    meter.close()
    assert [rail.name for rail in info.rails if rail.role == "total"] == totals
    assert [rail.name for rail in info.rails if rail.role == "witness"] == witnesses
    assert info.scope == scope


def test_rejections_carry_reasons(board, clock):
    """Every zone that is not read is listed with the reason."""
    ultra = opened(board("intel-core-ultra-255h"), clock)
    twins = opened(board("amd-die-twins"), clock)
    reasons = {item.name: item.reason for item in ultra.describe().rejected}
    twin_reasons = {item.name: item.reason for item in twins.describe().rejected}
    ultra.close()
    twins.close()
    assert "mirrors intel-rapl:0" in reasons["intel-rapl-mmio:0 (package-0)"]
    assert "inside its package" in reasons["intel-rapl:0:0 (core)"]
    assert len(reasons) == 2
    assert "mirrors" in twin_reasons["intel-rapl:1 (package-0-die-1)"]


def test_dtpm_is_no_zone(board, clock):
    """The dtpm tree is neither read nor reported as RAPL."""
    meter = opened(board("laptop-dtpm"), clock)
    info = meter.describe()
    meter.close()
    assert not any("dtpm" in item.name for item in info.rejected)
    assert not any("dtpm" in rail.name for rail in info.rails)


def test_mmio_alone_is_used(board, clock):
    """With no MSR zone the memory-mapped one stands for the package."""
    root = board("intel-core-ultra-255h")
    for zone in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
        for file in (root / CLASS / zone).iterdir():
            file.unlink()
        (root / CLASS / zone).rmdir()
    meter = opened(root, clock)
    names = [rail.name for rail in meter.describe().rails]
    meter.close()
    assert names == ["package-0"]


def test_nested_children_are_found_once(board, clock):
    """A child that appears flat and inside its parent is one zone."""
    root = board("intel-i7-7700k")
    (root / CLASS / "intel-rapl:0" / "intel-rapl:0:2").symlink_to(root / CLASS / "intel-rapl:0:2")
    meter = opened(root, clock)
    names = [rail.name for rail in meter.describe().rails]
    meter.close()
    assert names == ["package-0", "package-0/dram"]


def test_values_are_joules_and_ranges_known(board, clock):
    """Microjoules become joules; each zone keeps its own wrap range."""
    meter = opened(board("intel-i7-7700k"), clock)
    samples = meter.read()
    info = meter.describe()
    meter.close()
    assert [sample.value for sample in samples] == [1000.0, 90.0]
    assert info.rails[0].wrap_range_j == pytest.approx(262143.328850)
    assert info.rails[1].wrap_range_j == pytest.approx(65532.610987)
    assert info.notes == ()


def test_hidden_range_is_assumed_and_noted(board, clock):
    """A kernel that hides the wrap range gives the usual one, with a note saying so."""
    root = board("intel-xeon-6254-2s")
    (root / CLASS / "intel-rapl:0/max_energy_range_uj").unlink()
    meter = opened(root, clock)
    info = meter.describe()
    meter.close()
    assert info.rails[0].wrap_range_j == pytest.approx(262143.328850)
    assert any("package-0" in note and "assumed" in note for note in info.notes)


def closed_opener(pattern):
    def opener(path: Path) -> int:
        if re.search(pattern, str(path)):
            raise PermissionError(13, "Permission denied", str(path))
        return open_readonly(path)

    return opener


@pytest.mark.parametrize("zone", ["intel-rapl:0/", "intel-rapl:0:2/"])
def test_closed_counter_is_refused_with_a_fix(board, clock, zone):
    """A root-only package or dram counter is no figure, and the message says what to type."""
    root = board("intel-i7-7700k")
    answer = RaplMeter.probe(root, opener=closed_opener(zone))
    assert (answer.usable, answer.reason_code) == (False, "permission")
    assert "udev" in answer.fix
    assert "\n" not in answer.fix
    with pytest.raises(DeviceError, match="root only"):
        opened(root, clock, closed_opener(zone))


def test_closed_witness_is_noted(board, clock):
    """A psys that cannot be read does not cost the headline figure."""
    meter = opened(board("laptop-dtpm"), clock, closed_opener("intel-rapl:1/"))
    info = meter.describe()
    meter.close()
    assert [rail.name for rail in info.rails] == ["package-0"]
    assert any("psys" in note for note in info.notes)


@pytest.mark.parametrize(("name", "code"), [("virtual-machine", "vm"), ("container", "container")])
def test_virtual_hosts_say_so(board, name, code):
    """Without powercap the reason names the VM or the container."""
    answer = RaplMeter.probe(board(name))
    assert (answer.usable, answer.reason_code) == (False, code)
    assert answer.fix


def test_bare_host_without_powercap(tmp_path, clock):
    """A host without powercap has no sensor, and opening it is an error, not a zero."""
    assert RaplMeter.probe(tmp_path).reason_code == "no-sensor"
    with pytest.raises(DeviceError, match="no RAPL package zone"):
        opened(tmp_path, clock)


def test_vanished_counter_is_not_a_sensor(board, clock):
    """A zone with a name but no counter file is refused."""
    root = board("intel-xeon-6254-2s")
    (root / CLASS / "intel-rapl:1/energy_uj").unlink()
    answer = RaplMeter.probe(root)
    assert (answer.usable, answer.reason_code) == (False, "no-sensor")


def test_descriptors_are_closed(board, clock):
    """Opening twice and closing leaves no descriptor behind."""
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    meter = opened(board("intel-i7-7700k"), clock)
    meter.open()
    meter.close()
    meter.close()
    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before
    with pytest.raises(DeviceError, match="not open"):
        meter.describe()


def play(meter, clock, steps, write):
    """Read once per step of 0.1 s after letting `write` change the files."""
    streams = StreamSet(meter.describe(), 0.1)
    for step in range(steps):
        clock.now_s = 100.0 + step / 10
        write(step)
        for sample in meter.read():
            streams.append(sample)
    return streams


def test_two_sockets_and_witness_add_up(board, clock):
    """10 W and 20 W packages with 1 W and 2 W memory are 33 W; psys at 60 W stays outside."""
    root = board("intel-xeon-2s-dram-psys")
    meter = opened(root, clock)
    powers = {"0": 10, "0:0": 1, "1": 20, "1:0": 2, "2": 60}

    def write(step):
        for zone, watts in powers.items():
            path = root / CLASS / f"intel-rapl:{zone}" / "energy_uj"
            path.write_text(f"{5_000_000 + step * watts * 100_000}\n")

    streams = play(meter, clock, 21, write)
    meter.close()
    reading = energy(streams, 100.0, 102.0)
    assert reading.energy_j == pytest.approx(66.0, rel=1e-9)
    assert rail_energy(streams, "psys", 100.0, 102.0).energy_j == pytest.approx(120.0, rel=1e-9)
    assert reading.flags == ()


def test_wrap_inside_the_window(board, clock):
    """A counter that passes its range goes on from zero; the joules are those drawn."""
    root = board("amd-ryzen")
    meter = opened(root, clock)
    range_uj = 65_532_610_987
    path = root / CLASS / "intel-rapl:0/energy_uj"

    def write(step):
        path.write_text(str((range_uj - 10_000_000 + step * 2_000_000) % range_uj))

    streams = play(meter, clock, 11, write)
    meter.close()
    reading = energy(streams, 100.0, 101.0)
    assert reading.energy_j == pytest.approx(20.0, rel=1e-6)
    assert (reading.wraps, reading.flags) == (1, ("wrap",))


def test_reset_spoils_only_windows_that_touch_it(board, clock):
    """A driver reload sets the counter to zero: no figure across it, figures on both sides."""
    root = board("amd-ryzen")
    meter = opened(root, clock)
    path = root / CLASS / "intel-rapl:0/energy_uj"

    def write(step):
        path.write_text(str(9_000_000_000 + step * 1_000_000 if step < 10 else step * 1_000_000))

    streams = play(meter, clock, 21, write)
    meter.close()
    across = energy(streams, 100.5, 101.5)
    assert across.energy_j is None
    assert across.flags == ("reset",)
    assert "reset" in across.reason
    assert energy(streams, 100.0, 100.9).energy_j == pytest.approx(9.0)
    assert energy(streams, 101.0, 102.0).energy_j == pytest.approx(10.0)


def test_counter_that_turns_to_rubbish_is_a_gap(board, clock):
    """Unreadable content in mid-run is no sample; an edge inside it has no figure."""
    root = board("amd-ryzen")
    meter = opened(root, clock)
    path = root / CLASS / "intel-rapl:0/energy_uj"

    def write(step):
        path.write_text("nonsense" if 5 <= step < 25 else str(step * 1_000_000))

    streams = play(meter, clock, 31, write)
    meter.close()
    assert energy(streams, 100.0, 101.0).energy_j is None
    assert "gap" in energy(streams, 100.0, 101.0).flags
    whole = energy(streams, 100.0, 103.0)
    assert whole.energy_j == pytest.approx(30.0)
    assert "gap" in whole.flags


def test_failing_descriptor_gives_no_value(board, clock, monkeypatch):
    """EAGAIN, ENODEV and the like from the kernel are failed reads, not exceptions."""
    meter = opened(board("amd-ryzen"), clock)

    def fail(descriptor, length, offset):
        raise OSError(19, "No such device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fail)
        samples = meter.read()
    meter.close()
    assert [sample.value for sample in samples] == [None]


def test_stuck_counter_is_no_measurement(board, clock):
    """A package counter that stands still for over a second did not measure 0 J."""
    meter = opened(board("amd-ryzen"), clock)
    streams = play(meter, clock, 21, lambda _step: None)
    meter.close()
    reading = energy(streams, 100.0, 102.0)
    assert reading.energy_j is None
    assert "did not move" in reading.reason
    assert "gap" in reading.flags


@given(st.binary(max_size=40))
def test_any_content_is_a_number_or_nothing(data):
    """The parser returns joules for digits only, and None for everything else."""
    value = parse_microjoules(data)
    if re.fullmatch(rb"[0-9]{1,20}\s*", data):
        assert value == int(data) / 1e6
    else:
        assert value is None


@pytest.mark.parametrize("text", [b"", b"-5", b"1.5", b"0x10", b"1 2", b"9" * 21, b"\xff"])
def test_odd_contents_are_refused(text):
    """Signs, points, prefixes, endless digits and stray bytes are no counter."""
    assert parse_microjoules(text) is None


def test_unknown_option_is_an_error(tmp_path):
    """RAPL has no options."""
    with pytest.raises(DeviceError, match="no option 'rate'"):
        RaplMeter(tmp_path, options={"rate": "5"})


@pytest.mark.parametrize(
    ("files", "limit_w"),
    [
        ({}, 1000.0),
        ({"constraint_0_max_power_uw": "65000000"}, 130.0),
        ({"constraint_0_max_power_uw": "65000000", "constraint_1_power_limit_uw": "95000000"},
         190.0),
        ({"constraint_0_max_power_uw": "0"}, 1000.0),
        ({"constraint_0_max_power_uw": "none"}, 1000.0),
        ({"constraint_1_power_limit_uw": "4095875000"}, 1000.0),  # firmware that limits nothing
    ],
)  # fmt: skip
def test_a_zone_s_own_limits_bound_its_counter(board, clock, files, limit_w):
    """Twice the largest limit the zone tells; without one, more than any package draws."""
    root = board("amd-ryzen")
    for name, text in files.items():
        (root / "sys/class/powercap/intel-rapl:0" / name).write_text(f"{text}\n")
    meter = RaplMeter(root, clock)
    meter.open()
    (rail, *_) = meter.describe().rails
    meter.close()
    assert rail.max_power_w == pytest.approx(limit_w)
