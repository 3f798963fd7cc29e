"""NVIDIA GPUs through NVML: which GPU, which query, and when there is no figure."""

import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.energy import energy
from devices.errors import DeviceError
from devices.meters.nvml import NvmlMeter
from devices.meters.nvml_devices import number, same_bus
from devices.stream import StreamSet
from tests.devices.fake_nvml import GONE, NOT_SUPPORTED, FakeGpu, FakeNvmlError, make_nvml


def opened(module, clock, environment=None, **options):
    meter = NvmlMeter(clock=clock, options=options, module=module, environment=environment or {})
    meter.open()
    return meter


def probe(module, environment=None, **options):
    return NvmlMeter.probe(options=options, module=module, environment=environment or {})


def rails(meter):
    return [rail.name for rail in meter.describe().rails]


BUS = ["00000000:01:00.0", "00000000:02:00.0", "00000000:03:00.0"]


def test_counter_in_joules(clock):
    """Volta and newer count millijoules; 5 000 000 of them are 5 kJ."""
    module = make_nvml(FakeGpu(0))
    meter = opened(module, clock)
    assert [sample.value for sample in meter.read()] == [5000.0]
    info = meter.describe()
    assert (info.kind, info.scope, info.max_rate_hz) == ("counter", "gpu", 10.0)
    assert info.rails[0].wrap_range_j is None
    # 400 W for the 100 ms between two steps of the counter
    assert info.rails[0].resolution_j == pytest.approx(40.0)
    assert any("NVIDIA A100" in note and "GPU-0a2b" in note for note in info.notes)
    meter.close()
    meter.close()
    assert module.started == 0
    with pytest.raises(DeviceError, match="not open"):
        meter.describe()


def test_two_gpus_add_up_and_a_reset_has_no_figure(clock):
    """100 W and 200 W are 300 W; a smaller later count is a reset, not a wrap."""
    gpus = [FakeGpu(0), FakeGpu(1)]
    meter = opened(make_nvml(*gpus), clock)
    streams = StreamSet(meter.describe(), 0.1)
    for step in range(41):
        clock.now_s = 100.0 + step / 10
        base = 9_000_000 if step < 25 else 0
        gpus[0].answers["TotalEnergyConsumption"] = base + step * 10_000
        gpus[1].answers["TotalEnergyConsumption"] = 7_000_000 + step * 20_000
        for sample in meter.read():
            streams.append(sample)
    assert energy(streams, 100.0, 102.0).energy_j == pytest.approx(600.0)
    across = energy(streams, 102.0, 103.0)
    assert across.energy_j is None
    assert across.flags == ("reset",)
    assert energy(streams, 103.0, 104.0).energy_j == pytest.approx(300.0)


def test_before_volta_power_is_sampled(clock):
    """Without a counter the watts are sampled; Pascal shows them at once, Ampere over 1 s."""
    for architecture, averaging_s in ((4, 0.0), (7, 1.0), (NOT_SUPPORTED, 1.0)):
        gpu = FakeGpu(0, TotalEnergyConsumption=NOT_SUPPORTED, Architecture=architecture)
        meter = opened(make_nvml(gpu), clock)
        assert [sample.value for sample in meter.read()] == [60.0]
        assert meter.describe().kind == "sampled"
        assert meter.describe().averaging_s == averaging_s


def test_one_gpu_without_counter_makes_all_sampled(clock):
    """Joules and watts are never mixed in one figure."""
    meter = opened(make_nvml(FakeGpu(0), FakeGpu(1, TotalEnergyConsumption=NOT_SUPPORTED)), clock)
    assert meter.describe().kind == "sampled"
    assert [sample.value for sample in meter.read()] == [60.0, 60.0]


def test_kind_can_be_asked_for(clock):
    """A GPU that counts can be sampled instead; one that cannot count is refused as a counter."""
    meter = opened(make_nvml(FakeGpu(0)), clock, kind="sampled")
    assert meter.describe().kind == "sampled"
    meter.close()
    gpu = FakeGpu(0, TotalEnergyConsumption=NOT_SUPPORTED)
    answer = probe(make_nvml(gpu), kind="counter")
    assert (answer.usable, answer.fix) == (False, "use kind=sampled")
    assert probe(make_nvml(gpu), kind="best").reason_code == "bad-option"


def test_jetson_answers_not_supported(clock):
    """NVML starts on a Jetson and then knows neither energy nor power: that is the answer."""
    module = make_nvml(FakeGpu(0, TotalEnergyConsumption=NOT_SUPPORTED, PowerUsage=NOT_SUPPORTED))
    answer = probe(module)
    assert (answer.usable, answer.reason_code) == (False, "not-supported")
    assert "Not Supported" in answer.reason
    assert "ina3221" in answer.fix
    assert module.started == 0
    with pytest.raises(DeviceError, match="neither energy nor power"):
        opened(module, clock)
    assert module.started == 0


def test_refusals_before_any_gpu(tmp_path):
    """No driver, no GPU, no permission, an unknown GPU: each has its own reason."""
    missing = probe(make_nvml(start=FakeNvmlError("NVML Shared Library Not Found")))
    assert (missing.reason_code, "modprobe" in missing.fix) == ("no-sensor", True)
    assert probe(make_nvml()).reason_code == "not-supported"
    closed = FakeNvmlError("Insufficient Permissions")
    gpu = FakeGpu(0, TotalEnergyConsumption=closed, PowerUsage=closed)
    assert probe(make_nvml(gpu)).reason_code == "permission"
    assert probe(make_nvml(FakeGpu(0, UUID=GONE))).reason_code == "not-supported"
    assert probe(make_nvml(FakeGpu(0)), colour="red").reason_code == "bad-option"
    assert "this machine only" in NvmlMeter.probe(tmp_path).reason


@pytest.mark.parametrize("missing", ["_nvmlGetFunctionPointer", "NVMLError"])
def test_foreign_pynvml(missing):
    """A package that took the name pynvml is told apart, with the command that replaces it."""
    module = make_nvml(FakeGpu(0))
    delattr(module, missing)
    answer = probe(module)
    assert (answer.usable, answer.reason_code) == (False, "not-supported")
    assert "not NVIDIA's" in answer.reason
    assert "uninstall" in answer.fix


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [
        ({}, BUS),
        ({"CUDA_VISIBLE_DEVICES": "1"}, BUS[1:2]),
        ({"CUDA_VISIBLE_DEVICES": "2, 0"}, [BUS[2], BUS[0]]),
        ({"CUDA_VISIBLE_DEVICES": "0,-1,1"}, BUS[:1]),
        ({"CUDA_VISIBLE_DEVICES": "0,7,1"}, BUS[:1]),
        ({"CUDA_VISIBLE_DEVICES": "1,1"}, BUS[1:2]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-2a2b"}, BUS[2:]),
        (
            {"CUDA_VISIBLE_DEVICES": "GPU-1a2b3c4d-0000-1111-2222-333344445555,GPU-0"},
            [BUS[1], BUS[0]],
        ),
    ],
)
def test_visible_devices(clock, environment, chosen):
    """The list is read as CUDA reads it: in its order, up to the first invalid entry."""
    meter = opened(make_nvml(FakeGpu(0), FakeGpu(1), FakeGpu(2)), clock, environment)
    assert rails(meter) == chosen
    rejected = {item.name for item in meter.describe().rejected}
    assert rejected == set(BUS) - set(chosen)


@pytest.mark.parametrize("visible", ["", "-1", "9", "none", "MIG-5c89", "GPU-ffff"])
def test_nothing_visible(visible):
    """If CUDA would see no whole GPU, there is no figure."""
    answer = probe(make_nvml(FakeGpu(0)), {"CUDA_VISIBLE_DEVICES": visible})
    assert (answer.usable, answer.reason_code) == (False, "not-supported")


def test_numbers_of_unlike_gpus_are_ambiguous(clock):
    """CUDA may count the fastest first: a number is only taken where the order is set."""
    module = make_nvml(FakeGpu(0, Name="NVIDIA T400"), FakeGpu(1, Name="NVIDIA A100"))
    answer = probe(module, {"CUDA_VISIBLE_DEVICES": "0"})
    assert not answer.usable
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in answer.fix
    environment = {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert rails(opened(module, clock, environment)) == BUS[:1]


def test_named_gpus(clock):
    """The option takes UUIDs and bus ids in any usual form, and overrides the environment."""
    module = make_nvml(FakeGpu(0), FakeGpu(1), FakeGpu(2))
    hidden = {"CUDA_VISIBLE_DEVICES": ""}
    assert rails(opened(module, clock, hidden, gpu="0000:02:00.0+gpu-0A2B")) == [BUS[1], BUS[0]]
    assert rails(opened(module, clock, hidden, gpu="all")) == BUS
    for wrong in ("1", "GPU-", "GPU-f", "0000:09:00.0"):
        answer = probe(module, gpu=wrong)
        assert not answer.usable
        assert "GPU-1a2b" in answer.fix


@pytest.mark.parametrize(
    "names", ["GPU-0a2b+00000000:01:00.0", "GPU-0a+gpu-0A2B3C", "01:00.0+0000:01:00.0"]
)
def test_a_gpu_that_is_named_twice_counts_once(clock, names):
    """100 W for 4 s are 400 J, by however many names it is called."""
    gpu = FakeGpu(0)
    meter = opened(make_nvml(gpu, FakeGpu(1)), clock, gpu=names)
    streams = StreamSet(meter.describe(), 0.1)
    for step in range(51):
        clock.now_s = 100.0 + step / 10
        gpu.answers["TotalEnergyConsumption"] = 5_000_000 + step * 10_000
        for sample in meter.read():
            streams.append(sample)
    assert energy(streams, 100.5, 104.5).energy_j == pytest.approx(400.0)


def test_failing_and_empty_answers(clock):
    """A lost GPU, a type that is no number, and 0 W are no values; the next good one is."""
    gpu = FakeGpu(0, TotalEnergyConsumption=NOT_SUPPORTED)
    meter = opened(make_nvml(gpu), clock)
    values = []
    for answer in (GONE, NOT_SUPPORTED, 0, None, "60000", -5, 61_000):
        gpu.answers["PowerUsage"] = answer
        values += [sample.value for sample in meter.read()]
    assert values == [None] * 6 + [61.0]


def test_old_binding_with_bytes_and_missing_queries(clock):
    """Older bindings hand out bytes and lack queries; both are taken as they are."""
    gpu = FakeGpu(0, UUID=b"GPU-0a", Name=b"Tesla V100")
    gpu.answers["PciInfo"] = types.SimpleNamespace(busId=b"00000000:01:00.0")
    module = make_nvml(gpu)
    del module.nvmlDeviceGetArchitecture
    del module.nvmlDeviceGetMigMode
    gpu.answers["EnforcedPowerLimit"] = NOT_SUPPORTED
    info = opened(module, clock).describe()
    assert info.rails[0].name == BUS[0]
    assert any("Tesla V100" in note for note in info.notes)
    assert any("limit unknown" in note for note in info.notes)


def test_divided_gpu_gives_no_figure_unless_the_whole_is_asked_for(clock):
    """With MIG on, a figure would be of the whole GPU; who names it gets that, with a note."""
    module = make_nvml(FakeGpu(0, MigMode=[1, 1]))
    with pytest.raises(DeviceError, match="divided by MIG") as caught:
        opened(module, clock)
    assert "nvml:gpu=GPU-0a2b3c4d" in caught.value.remedy
    info = opened(module, clock, gpu="GPU-0a2b3c4d").describe()
    assert any("MIG" in note for note in info.notes)


def test_stuck_counter_is_no_measurement(clock):
    """A counter that stands still for seconds did not measure 0 J."""
    meter = opened(make_nvml(FakeGpu(0)), clock)
    streams = StreamSet(meter.describe(), 0.1)
    for step in range(41):
        clock.now_s = 100.0 + step / 10
        for sample in meter.read():
            streams.append(sample)
    reading = energy(streams, 100.0, 104.0)
    assert reading.energy_j is None
    assert "did not move" in reading.reason


@given(st.one_of(st.integers(), st.floats(), st.text(), st.none(), st.booleans(), st.binary()))
def test_any_answer_is_a_count_or_nothing(answer):
    """Only whole numbers that fit the counter are taken."""
    value = number(answer)
    whole = isinstance(answer, int) and not isinstance(answer, bool)
    if whole and 0 <= answer < 2**64:
        assert value == float(answer)
    else:
        assert value is None


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_names_can_be_compared(left, right):
    """Text that is no bus id is never the same as another."""
    assert not same_bus(left, right) or ":" in left
    assert same_bus("3b:00.0", "00000000:3B:00.0")
    assert not same_bus("3b:00.0", "0001:3b:00.0")


def lost_handle(module, *lost):
    """Let the handles of some GPUs fail, as those that fell off the bus do."""
    plain = module.nvmlDeviceGetHandleByIndex

    def handle(index):
        if index in lost:
            raise GONE
        return plain(index)

    module.nvmlDeviceGetHandleByIndex = handle
    return module


@pytest.mark.parametrize("how", ["handle", "uuid", "queries", "unknown"])
def test_a_lost_gpu_takes_only_itself_away(clock, how):
    """However a GPU is lost, the others are read, and the lost one is named."""
    gone = FakeNvmlError("Unknown Error") if how == "unknown" else GONE
    answers = {"TotalEnergyConsumption": gone, "PowerUsage": gone} if how != "uuid" else {}
    lost = FakeGpu(1, **answers, **({"UUID": GONE} if how == "uuid" else {}))
    module = make_nvml(FakeGpu(0), lost, FakeGpu(2))
    if how == "handle":
        lost_handle(module, 1)
    assert probe(module).usable
    meter = opened(module, clock)
    assert rails(meter) == [BUS[0], BUS[2]]
    (rejected,) = meter.describe().rejected
    assert "does not answer" in rejected.reason


def test_numbers_behind_a_lost_gpu_are_ambiguous(clock):
    """Before it they mean what they say; behind it CUDA may have moved up. UUIDs always hold."""
    module = lost_handle(make_nvml(FakeGpu(0), FakeGpu(1), FakeGpu(2)), 1)
    assert rails(opened(module, clock, {"CUDA_VISIBLE_DEVICES": "0"})) == BUS[:1]
    for visible in ("1", "2"):
        answer = probe(module, {"CUDA_VISIBLE_DEVICES": visible})
        assert not answer.usable
        assert "UUID" in answer.fix
    assert rails(opened(module, clock, {"CUDA_VISIBLE_DEVICES": "GPU-2a2b"})) == BUS[2:]


def test_all_gpus_lost():
    """Then there is no meter, and each is named with what NVML says."""
    answer = probe(lost_handle(make_nvml(FakeGpu(0), FakeGpu(1)), 0, 1))
    assert not answer.usable
    assert "GPU 0: it does not answer: GPU is lost; GPU 1" in answer.reason


@pytest.mark.parametrize(
    ("power_w", "possible"), [(0.4, False), (8.0, True), (140.0, True), (3700.0, False)]
)
def test_limits_of_the_gpu_bound_its_samples(clock, power_w, possible):
    """A GPU limited to 115 W never drew 3.7 kW."""
    gpu = FakeGpu(0, TotalEnergyConsumption=NOT_SUPPORTED, EnforcedPowerLimit=115_000)
    (rail,) = opened(make_nvml(gpu), clock).describe().rails
    assert rail.can_draw(power_w) is possible
