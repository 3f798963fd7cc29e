"""What a cell reports of memory, over sessions: its own peaks, a GPU's only where one trains."""

import pytest

from devices.card_watch import CardWatch
from harness.running.limits import Limits
from tests.devices.fake_nvml import FakeGpu, make_nvml
from tests.harness.run_folder.conftest import Runner, only, rows


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("cache"))


class Peaks:
    """Be an allocator whose peak is told beforehand."""

    def __init__(self, peak: int) -> None:
        self.peak = peak

    def empty_cache(self) -> None:
        pass

    def reset_peak_memory_stats(self) -> None:
        pass

    def max_memory_reserved(self) -> int:
        return self.peak

    def mem_get_info(self) -> tuple[int, int]:
        return 1 << 30, 1 << 30


def test_the_gpus_peak_is_the_largest_of_all_sessions(runner, tmp_path, monkeypatch) -> None:
    """Stopped after a round at 700 B, gone on with at 500 B: 700 B; a processor's stays beside."""
    monkeypatch.setattr("harness.running.cell.gpu_allocator", lambda _: Peaks(700))
    runner.run(tmp_path, methods=("independent",), limits=Limits(time_s=1e-9))
    monkeypatch.setattr("harness.running.cell.gpu_allocator", lambda _: Peaks(500))
    runner.run(tmp_path, methods=("independent",))
    (row,) = rows(only(tmp_path), "cells")
    assert row["status"] == "done"
    assert row["peak_gpu_memory_bytes"] == "700"
    assert int(row["peak_memory_bytes"]) > 10_000_000


def test_what_slows_the_card_is_in_the_cell_and_its_conditions(runner, tmp_path, monkeypatch):
    """Hot in the first round only: the flag stays, the temperature is that of every look."""
    gpu = FakeGpu(0, CurrentClocksEventReasons=0x40, Temperature=93)
    module = make_nvml(gpu)
    monkeypatch.setattr(
        "harness.running.cell.watch_card", lambda _: CardWatch(module=module, environment={})
    )
    runner.run(tmp_path, methods=("independent",), limits=Limits(time_s=1e-9))
    gpu.answers |= {"CurrentClocksEventReasons": 0, "Temperature": 60}
    runner.run(tmp_path, methods=("independent",))
    folder = only(tmp_path)
    (row,) = rows(folder, "cells")
    assert "gpu-hw-thermal-slowdown" in row["flags"].split("+")
    looks = rows(folder, f"conditions/{row['cell']}")
    degrees = [look["gpu_temperature_c"] for look in looks]
    assert (degrees[0], degrees[-1]) == ("93.0", "60.0")
    assert module.started == 0


def test_without_a_gpu_the_column_is_empty(runner, tmp_path) -> None:
    runner.run(tmp_path, methods=("independent",), rounds=1)
    (row,) = rows(only(tmp_path), "cells")
    assert row["peak_gpu_memory_bytes"] == ""
