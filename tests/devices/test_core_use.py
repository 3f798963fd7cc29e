"""Which cores are busy, and how much of that is others' work."""

import pytest

from devices.core_use import CoreUse, Taken, read_core_use, taken

STAT = """cpu  300 0 100 900 0 0 0 0 0 0
cpu0 200 0 50 300 0 10 40 7 0 0
cpu1 100 0 50 600 0 0 0 0 0 0
intr 1
"""
OWN = "42 (a) name) R " + " ".join(map(str, range(1, 11))) + " 50 25 10 5 20 0 1 0 0\n"
"""Fields 14 to 17 are 50, 25, 10 and 5 ticks."""


def test_cores_are_told_apart_and_stolen_time_is_nobodys_work(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/stat").write_text(STAT)
    (tmp_path / "proc/self/stat").write_text(OWN)
    assert read_core_use(tmp_path, lambda: 5.0) == CoreUse(5.0, {0: 3.0, 1: 1.5}, 0.9)


def test_what_measures_counts_as_own_work_and_is_unknown_once_it_has_ended(tmp_path):
    for name in ("self", "77"):
        (tmp_path / "proc" / name).mkdir(parents=True)
        (tmp_path / "proc" / name / "stat").write_text(OWN)
    (tmp_path / "proc/stat").write_text(STAT)
    assert read_core_use(tmp_path, lambda: 5.0, [77]).own_s == pytest.approx(1.8)
    assert read_core_use(tmp_path, lambda: 5.0, [77, 78]) is None


@pytest.mark.parametrize("missing", ["stat", "self/stat"])
def test_a_host_that_hides_its_counters_tells_nothing(tmp_path, missing):
    (tmp_path / "proc/self").mkdir(parents=True)
    for name, text in (("stat", STAT), ("self/stat", OWN)):
        if name != missing:
            (tmp_path / "proc" / name).write_text(text)
    assert read_core_use(tmp_path) is None


def test_what_is_busy_and_not_own_is_others():
    """In 2 s the cores worked 2 s and 1.5 s, this process 2.5 s: half a core is others'."""
    seen = taken(CoreUse(10.0, {0: 1.0, 1: 4.0}, 7.0), CoreUse(12.0, {0: 3.0, 1: 5.5}, 9.5))
    assert seen == Taken({0: 1.0, 1: 0.75}, 1.25)
    assert seen.foreign([0, 1]) == pytest.approx(0.5)
    assert seen.foreign([1]) == 0.0
    assert taken(CoreUse(1.0, {}, 0.0), CoreUse(1.0, {}, 0.0)) is None
