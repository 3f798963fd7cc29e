"""jetson-stats: raw rails, the profile's total, and a reason for everything in its way."""

import threading
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

import devices.meters.jtop as jtop_module
from devices.energy import energy
from devices.errors import DeviceError
from devices.meters.jtop import JtopMeter
from devices.meters.jtop_rails import merge_rails, rail_power_w
from devices.meters.usability import try_out
from devices.stream import StreamSet

AGX_ORIN = "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0"
ORIN_NANO = "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0"


class FakeJtopError(Exception):
    """Stand in for JtopException."""


def rail(volt_mv, current_ma, **more):
    """Describe a rail as the service does: whole mV, mA and mW, and an `avg` that is no mean."""
    power_mw = int(volt_mv * current_ma / 1000)
    return {
        "volt": volt_mv, "curr": current_ma, "power": power_mw,
        "avg": 99_999, "warn": 32_760, "crit": 32_760, "online": True, **more,
    }  # fmt: skip


def agx_orin():
    """Return four rails of which the service adds up all, VDDQ twice among them."""
    rails = {
        "VDD_GPU_SOC": rail(19_992, 120),
        "VDD_CPU_CV": rail(19_992, 80),
        "VIN_SYS_5V0": rail(4_992, 940),
        "VDDQ_VDD2_1V8AO": rail(1_800, 390),
    }
    return {"rail": rails, "tot": {"power": sum(r["power"] for r in rails.values()), "avg": 0}}


def orin_nano():
    """Return three rails of which the service has moved VDD_IN to `tot`."""
    rails = {"VDD_CPU_GPU_CV": rail(5_000, 160), "VDD_SOC": rail(5_000, 280)}
    return {"rail": rails, "tot": {**rail(5_032, 961), "name": "VDD_IN"}}


class FakeClient:
    """Stand in for a jtop client whose values the test sets."""

    def __init__(self, power, interval=0.5, start_error=None):
        self.data = power
        self.interval = interval
        self.start_error = start_error
        self.observers = []
        self.closed = 0

    @property
    def power(self):
        if isinstance(self.data, Exception):
            raise self.data
        return self.data

    def attach(self, observer):
        self.observers.append(observer)

    def start(self):
        if self.start_error:
            raise self.start_error

    def close(self):
        self.closed += 1

    def update(self):
        for observer in self.observers:
            observer(self)


def make_jtop(client):
    module = types.ModuleType("jtop")
    module.JtopException = FakeJtopError
    module.jtop = lambda interval: client
    return module


def jetson(root, compatible=ORIN_NANO):
    """Write a board with a running service."""
    (root / "run").mkdir(parents=True)
    (root / "run/jtop.sock").write_text("")
    (root / "proc/device-tree").mkdir(parents=True)
    (root / "proc/device-tree/compatible").write_text(compatible)
    return root


def opened(root, clock, client, **options):
    meter = JtopMeter(root, clock, options, make_jtop(client), lambda _path: True)
    meter.open()
    return meter


def probe(root, client, access=True, **options):
    return JtopMeter.probe(root, options, make_jtop(client), lambda _path: access)


def by_rail(meter):
    names = [rail.name for rail in meter.describe().rails]
    return dict(zip(names, [sample.value for sample in meter.read()], strict=True))


def totals(meter):
    return {rail.name for rail in meter.describe().rails if rail.role == "total"}


def test_total_rail(tmp_path, clock):
    """VDD_IN is the total and 5.032 V × 0.961 A, not the truncated 4835 mW or the false mean."""
    meter = opened(jetson(tmp_path), clock, FakeClient(orin_nano()))
    assert totals(meter) == {"VDD_IN"}
    assert by_rail(meter)["VDD_IN"] == pytest.approx(5.032 * 0.961, rel=1e-12)
    info = meter.describe()
    assert (info.kind, info.scope) == ("sampled", "module")
    # the chip's own 0.43 s, and up to one interval of age
    assert info.averaging_s == pytest.approx(0.93)
    assert info.max_rate_hz == pytest.approx(2.0)


def test_board_without_total_rail(tmp_path, clock):
    """On AGX Orin three rails are summed; the service's sum with VDDQ twice is rejected."""
    meter = opened(jetson(tmp_path, AGX_ORIN), clock, FakeClient(agx_orin()))
    assert totals(meter) == {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"}
    assert "tot" in {item.name for item in meter.describe().rejected}
    streams = StreamSet(meter.describe(), 0.5)
    for step in range(41):
        clock.now_s = 100.0 + step / 2
        meter._client.update()
        for sample in meter.read():
            streams.append(sample)
    power_w = 19.992 * 0.120 + 19.992 * 0.080 + 4.992 * 0.940
    assert energy(streams, 100.0, 120.0).energy_j == pytest.approx(20 * power_w)


def test_unknown_board_has_no_total(tmp_path, clock):
    """Without a rule every rail is a witness; naming the board gives the total."""
    root = jetson(tmp_path, "acme,board\0")
    client = FakeClient(orin_nano())
    assert totals(opened(root, clock, client)) == set()
    assert totals(opened(root, clock, client, board="jetson-orin-nano")) == {"VDD_IN"}
    assert probe(root, client, board="jetson-moon").usable is False


def test_missing_total_rail_is_refused(tmp_path):
    """A known board whose total rail the service does not show has no figure."""
    answer = probe(jetson(tmp_path), FakeClient(agx_orin()))
    assert (answer.usable, answer.reason_code) == (False, "no-sensor")
    assert "VDD_IN" in answer.reason


def test_power_supplies_are_no_rails():
    """USB-C supplies, batteries and unconnected channels are left out with reasons."""
    data = agx_orin()
    data["rail"]["NC"] = rail(0, 0)
    data["rail"]["ucsi-source-psy-1"] = rail(5_000, 3_000)
    data["rail"]["BAT0"] = rail(12_000, 500, status="Discharging")
    rails, rejected = merge_rails(data)
    assert set(rails) == set(agx_orin()["rail"])
    assert {item.name for item in rejected} == {"tot", "NC", "ucsi-source-psy-1", "BAT0"}


def test_name_that_only_contains_nc():
    """Only a channel called NC is unconnected; the service drops every name with NC in it."""
    rails, _ = merge_rails({"rail": {"VDD_NCPU": rail(5_000, 100)}})
    assert set(rails) == {"VDD_NCPU"}


@pytest.mark.parametrize(
    ("data", "power_w"),
    [
        ({"volt": 5_000, "curr": 101, "power": 505}, 0.505),
        ({"volt": 19_992, "curr": -20, "power": -399}, -0.39984),
        ({"power": 19_780}, 19.78),
        ({"volt": 5_000, "power": 700}, 0.7),
        ({"volt": 5_000}, None),
        ({}, None),
        ({"volt": 5_000, "curr": 100, "power": 500, "online": False}, None),
        ({"volt": "5000", "curr": "100"}, None),
        ({"volt": 10**300, "curr": 10**300}, None),
        ({"volt": 5e9, "curr": 5e9}, None),
        ({"power": float("nan")}, None),
        ({"power": True}, None),
    ],
)
def test_watts_of_a_rail(data, power_w):
    """Volts × amperes first, the sensor's milliwatts second, nothing third; signs are kept."""
    assert rail_power_w(data) == (None if power_w is None else pytest.approx(power_w))


def test_dropped_rail_and_silent_service(tmp_path, clock):
    """A rail the service leaves out, an error and a service that stopped are failed reads."""
    client = FakeClient(orin_nano())
    meter = opened(jetson(tmp_path), clock, client)
    client.data = {"rail": orin_nano()["rail"], "tot": {"power": 1, "avg": 1}}
    assert by_rail(meter)["VDD_IN"] is None
    assert by_rail(meter)["VDD_SOC"] == pytest.approx(1.4)
    client.data = KeyError("power")
    assert set(by_rail(meter).values()) == {None}
    client.data = orin_nano()
    clock.now_s += 1.4
    assert None not in by_rail(meter).values()
    clock.now_s += 0.2
    assert set(by_rail(meter).values()) == {None}
    client.update()
    assert None not in by_rail(meter).values()


def test_no_service(tmp_path, clock):
    """Without socket there is no sensor; in a container the fix is the mount."""
    client = FakeClient(orin_nano())
    answer = probe(tmp_path, client)
    assert (answer.usable, answer.reason_code) == (False, "no-sensor")
    assert "systemctl" in answer.fix
    (tmp_path / ".dockerenv").write_text("")
    assert "-v /run/jtop.sock" in probe(tmp_path, client).fix
    with pytest.raises(DeviceError, match="not there"):
        opened(tmp_path, clock, client)


def test_closed_socket(tmp_path):
    """A socket of group jtop is a permission problem with the command that joins it."""
    root = jetson(tmp_path)
    answer = probe(root, FakeClient(orin_nano()), access=False)
    assert (answer.usable, answer.reason_code) == (False, "permission")
    assert "usermod -aG jtop" in answer.fix


@pytest.mark.parametrize(
    ("error", "word", "fix"),
    [
        (FakeJtopError("Mismatch version jtop service: [4.2] and client: [7.2]"), "4.2", "pip"),
        (FakeJtopError("I can't access jtop.service.\nPlease logout"), "access", "usermod"),
        (FakeJtopError("Lost connection with jtop server"), "Lost", "systemctl"),
        (ConnectionRefusedError(111, "Connection refused"), "refused", "systemctl"),
        (EOFError(), "EOFError", "systemctl"),
    ],
)
def test_service_that_refuses(tmp_path, error, word, fix):
    """Another version, a missing group and a lost service each come with their remedy."""
    answer = probe(jetson(tmp_path), FakeClient(orin_nano(), start_error=error))
    assert (answer.usable, answer.reason_code) == (False, "not-supported")
    assert word in answer.reason
    assert fix in answer.fix


def test_service_that_hangs(tmp_path, monkeypatch):
    """A service that never answers does not hold up the caller."""
    released = threading.Event()
    client = FakeClient(orin_nano())
    client.start = released.wait
    monkeypatch.setattr(jtop_module, "CONNECT_TIMEOUT_S", 0.02)
    answer = probe(jetson(tmp_path), client)
    released.set()
    assert "does not answer" in answer.reason


def test_other_refusals(tmp_path, clock):
    """No rails, a foreign module, a wrong option and another machine's tree are reasons."""
    root = jetson(tmp_path)
    assert "no rail" in probe(root, FakeClient({})).reason
    assert not JtopMeter.probe(root, None, types.ModuleType("jtop"), lambda _path: True).usable
    assert probe(root, FakeClient({}), rate="1").reason_code == "bad-option"
    assert "this machine only" in JtopMeter.probe(root, access=lambda _path: True).reason


def test_client_is_closed(tmp_path, clock):
    """Closing twice closes once, and failing to open leaves no client."""
    root = jetson(tmp_path)
    client = FakeClient(orin_nano())
    meter = opened(root, clock, client)
    meter.close()
    meter.close()
    assert client.closed == 1
    assert meter.read() == []
    with pytest.raises(DeviceError, match="not open"):
        meter.describe()
    empty = FakeClient({})
    with pytest.raises(DeviceError, match="no rail"):
        opened(root, clock, empty)
    assert empty.closed == 1


def test_service_with_another_interval(tmp_path, clock):
    """Another client may have set the service's pace; a senseless pace is not believed."""
    root = jetson(tmp_path)
    assert opened(root, clock, FakeClient(orin_nano(), 2.0)).describe().max_rate_hz == 0.5
    for interval in (0.0, -1.0, float("nan"), None, "1"):
        meter = opened(root, clock, FakeClient(orin_nano(), interval))
        assert meter.describe().max_rate_hz == 2.0


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(max_size=5)
)
_RAIL = st.dictionaries(st.sampled_from(["volt", "curr", "power", "name", "online"]), _VALUES)


@given(
    st.one_of(
        _VALUES,
        st.dictionaries(
            st.sampled_from(["rail", "tot"]),
            st.one_of(
                _VALUES, _RAIL, st.dictionaries(st.text(max_size=4), st.one_of(_VALUES, _RAIL))
            ),
        ),
    )
)
def test_any_answer_of_the_service_is_survived(power):
    """Whatever the service says, each rail has plausible watts or none."""
    rails, _ = merge_rails(power)
    for data in rails.values():
        power_w = rail_power_w(data)
        assert power_w is None or abs(power_w) <= 1000.0


@pytest.mark.parametrize(
    ("current_ma", "words"),
    [
        (961, ""),
        (0, "reads 0 W, below what a device"),
        (-961, "below zero"),
        (190_000, "more than this device can draw"),
    ],
)
def test_the_service_s_figures_must_be_those_of_the_board(tmp_path, clock, current_ma, words):
    """What jtop hands on is judged like every other sensor, by the board's limits."""
    power = orin_nano()
    power["tot"] |= rail(5_032, current_ma)
    client = FakeClient(power)
    meter = opened(jetson(tmp_path), clock, client)

    def sleep(seconds):
        clock.sleep(seconds)
        client.update()

    fault = try_out(meter, sleep).fault
    assert words in fault
    assert bool(fault) == bool(words)


def test_a_service_that_stops_sending_is_not_usable(tmp_path, clock):
    """Its last values are old after three intervals, so they are none."""
    meter = opened(jetson(tmp_path), clock, FakeClient(orin_nano()))
    assert "readings in" in try_out(meter, lambda seconds: clock.sleep(4.0 * seconds)).fault
