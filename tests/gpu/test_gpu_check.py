"""The prepared script says what is missing without a GPU, and hides no failure with one."""

import datetime as dt
from dataclasses import replace

import pytest

from devices.accelerator import Accelerator
from devices.cuda_probe import CudaProbe
from tests.devices.fake_nvml import GONE, NOT_SUPPORTED, FakeGpu, make_nvml
from tests.gpu import heat_checks
from tests.gpu.__main__ import BEGIN, END, PAGE, carry_out, heading, main, written
from tests.gpu.checks import Check
from tests.gpu.failing import CheckFailedError

CARD = Accelerator(
    kind="gpu", name="NVIDIA Card", capability="9.0", cuda="12.6", torch="2.13.0",
    memory_bytes=8 * 2**30,
)  # fmt: skip


def test_without_a_gpu_nothing_is_measured_or_written(tmp_path, capsys):
    page = tmp_path / "gpu.md"
    assert main(lambda: CudaProbe("no NVIDIA driver is loaded", "Install it."), page) == 3
    assert "nothing was measured: no NVIDIA driver is loaded" in capsys.readouterr().err
    assert not page.exists()


def test_failures_are_written_and_the_others_still_run():
    def fails(_card):
        raise CheckFailedError("gradients differ")

    def breaks(_card):
        raise RuntimeError("CUDA error: x\nmore")

    good = Check("good", 1.0, lambda _card: [("step", "1.00 ms", "≤ 2 ms")])
    lines, held = carry_out(CARD, [Check("a", 1.0, fails), Check("b", 1.0, breaks), good])
    assert not held
    assert "**Failed:** gradients differ." in lines
    assert "**Failed:** RuntimeError: CUDA error: x." in lines
    assert "| step | 1.00 ms | ≤ 2 ms |" in lines
    assert carry_out(CARD, [good])[1]


def test_heat_is_told_of_the_card_that_trains_and_of_no_other(monkeypatch):
    """With a driver that is played: what it does not tell is named."""
    gpu = FakeGpu(1, Temperature=71, CurrentClocksEventReasons=0x4, TotalEccErrors=NOT_SUPPORTED)
    module = make_nvml(FakeGpu(0), gpu)
    monkeypatch.setattr("devices.card_watch._binding", lambda _: module)
    monkeypatch.setattr(heat_checks, "_work", lambda seconds: None)
    card = replace(CARD, uuid=gpu.answers["UUID"])
    rows = {what: figure for what, figure, _ in heat_checks.what_the_driver_tells(card)}
    assert rows["temperature then, slows down at, shuts off at"] == "71 °C, 92 °C, 95 °C"
    assert rows["not told"] == "memory_errors"
    assert rows["flags of 6 s of matrix products"] == "gpu-power-cap"
    monkeypatch.setattr("devices.card_watch._binding", lambda _: make_nvml(start=GONE))
    with pytest.raises(CheckFailedError, match="nvidia-ml-py"):
        heat_checks.what_the_driver_tells(card)


def test_ten_minutes_are_the_most():
    """What cannot be done in what is left of them is named."""
    now = iter([0.0, 0.0, 550.0])
    ran = []
    checks = [Check(name, 100.0, lambda _card, n=name: ran.append(n) or []) for name in "ab"]
    lines, held = carry_out(CARD, checks, lambda: next(now))
    assert (ran, held) == (["a"], False)
    assert "Not run: the ten minutes were over." in lines


def test_figures_take_the_place_of_earlier_ones():
    page = f"above\n{BEGIN}\nold\n{END}\nbelow\n"
    found = written(page, heading(CARD, dt.date(2026, 1, 2)))
    assert "old" not in found
    assert found.startswith("above\n")
    assert found.endswith(f"{END}\nbelow\n")
    assert "NVIDIA Card, compute capability 9.0, 8.0 GiB, CUDA 12.6" in found
    assert written(found, ["x"]) == written(page, ["x"])
    with pytest.raises(ValueError, match="no place"):
        written("nothing", [])


def test_page_has_a_place_for_them_and_says_that_no_card_was_at_hand():
    page = PAGE.read_text(encoding="utf-8")
    place = page.partition(BEGIN)[2].partition(END)[0]
    assert "No card was at hand" in place or "Written by `make gpu-check`" in place
