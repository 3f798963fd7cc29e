"""Memory of a short command is its own or unknown, never that of the program that starts it."""

import os

from harness.measurement.command import Surroundings, _slack_bytes, run_command
from harness.measurement.process_tree import _size_bytes


def test_what_a_new_program_inherits_is_not_its_own() -> None:
    """This process holds far more than `true` ever does, which ends before anyone can look."""
    for _ in range(50):
        found = run_command(["true"], Surroundings()).memory
        assert found.memory_bytes is None or 0 < found.memory_bytes < 2**23


def test_a_program_that_is_only_being_loaded_has_no_size_yet(tmp_path) -> None:
    """proc(5): the fourth number of statm is its pages of code; a page holds its arguments."""
    (tmp_path / "smaps_rollup").write_text("Rss: 4 kB\nPss:       4 kB\n")
    (tmp_path / "statm").write_text("33 1 0 0 0 33 0\n")
    assert _size_bytes(tmp_path) is None
    (tmp_path / "statm").write_text("700 300 280 5 0 90 0\n")
    assert _size_bytes(tmp_path) == 4096


def test_the_slack_is_that_of_the_kernel_s_counters() -> None:
    """Three sums, each off by a batch of pages for every core: 2 × 32, 64 × 128."""
    page = os.sysconf("SC_PAGE_SIZE")
    assert _slack_bytes(2) == 3 * 2 * 32 * page
    assert _slack_bytes(64) == 3 * 64 * 128 * page
