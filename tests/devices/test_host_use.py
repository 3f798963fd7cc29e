"""Shares and bytes follow from what the kernel counted, and from nothing else."""

import time
from pathlib import Path

import pytest

from devices import host_use
from devices.host_use import HostCounts, UseWatch, read_counts, use_between


def tree(root: Path, stat="", net=(), physical=()):
    """Write what the kernel would show."""
    (root / "proc/net").mkdir(parents=True, exist_ok=True)
    (root / "proc/stat").write_text(stat)
    rows = "".join(
        f"  {name}: {got} 1 0 0 0 0 0 0 {sent} 1 0 0 0 0 0 0\n" for name, got, sent in net
    )
    (root / "proc/net/dev").write_text(f"Inter-|\n face |\n{rows}")
    for name in physical:
        (root / f"sys/class/net/{name}/device").mkdir(parents=True, exist_ok=True)
    return root


def test_busy_ticks_are_all_but_idle_and_waiting(tmp_path):
    """user nice system idle iowait irq softirq steal guest guest_nice: guests are in user."""
    before = read_counts(tree(tmp_path, "cpu  100 0 50 800 50 0 0 0 9 9\ncpu0 1 2 3\n"))
    after = read_counts(tree(tmp_path, "cpu  160 0 60 820 60 0 0 0 99 99\n"))
    assert use_between(before, after).cpu_utilisation == pytest.approx(70 / 100)


@pytest.mark.parametrize("stat", ["", "cpu", "cpu a b c d e f", "intr 1 2 3 4 5 6 7 8"])
def test_ticks_that_are_not_told_give_no_share(tmp_path, stat):
    counts = read_counts(tree(tmp_path, stat))
    assert use_between(counts, counts).cpu_utilisation is None


def test_too_few_ticks_are_no_share():
    few = use_between(HostCounts(0, 0, None, None), HostCounts(10, 19, None, None))
    assert few.cpu_utilisation is None


@pytest.mark.parametrize(
    ("physical", "bytes_in_out"),
    [(("eth0", "wlan0"), (110, 220)), ((), (1110, 2220))],
)
def test_bytes_of_physical_interfaces_or_of_all_but_the_loopback(tmp_path, physical, bytes_in_out):
    """A bridge counts again what a card has counted; a container sees no card."""
    net = [("lo", 5, 5), ("eth0", 10, 20), ("wlan0", 100, 200), ("docker0", 1000, 2000)]
    counts = read_counts(tree(tmp_path, net=net, physical=physical))
    assert (counts.received_bytes, counts.sent_bytes) == bytes_in_out


def test_a_counter_that_ran_backwards_is_not_known():
    use = use_between(HostCounts(1, 100, 50, 7), HostCounts(2, 200, 10, 9))
    assert (use.received_bytes, use.sent_bytes) == (None, 2)


def test_a_tegra_s_load_is_averaged(tmp_path, monkeypatch):
    monkeypatch.setattr(host_use, "LOOK_S", 0.02)
    load = tmp_path / "sys/devices/gpu.0/load"
    load.parent.mkdir(parents=True)
    load.write_text("250\n")
    watch = UseWatch(tmp_path)
    time.sleep(0.2)
    assert watch.at_end().gpu_utilisation == pytest.approx(0.25)


def test_without_a_gpu_nothing_is_said_of_one(tmp_path):
    assert UseWatch(tmp_path).at_end().gpu_utilisation is None
