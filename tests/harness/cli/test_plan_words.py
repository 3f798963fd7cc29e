"""What a run will take: timed how, and of this host and another device in lines of their own."""

from harness.cli.plan_words import expectation_words
from harness.workloads.base import Expectation

MB = 1e6


def test_a_run_on_the_device_itself():
    first, disk = expectation_words(Expectation(600.0, 4712.0, 110 * MB, 39 * MB))
    assert first == (
        "Expect   10.0 min and 4712 J modelled for training and tests of the whole run (from"
        " timing a few steps here, and the profile's power model)"
    )
    assert disk == "Disk     at most 110 MB of data, 39 MB of results"


def test_seconds_of_this_host_and_joules_of_another_device_share_no_line():
    lines = expectation_words(Expectation(60.0, 500.0, MB, MB, time_model_s=1800.0))
    assert not any("this host" in line and " J" in line for line in lines)
    assert any("modelled to take 30.0 min and 500 J" in line for line in lines)


def test_what_is_left_and_what_was_timed_under_load_say_so():
    lines = expectation_words(Expectation(60.0, 500.0, MB, MB, foreign_cores=1.3, rest=True))
    assert "what is left of the run" in lines[0]
    assert "timed while other programs kept 1.3 cores busy" in lines[1]
    quiet = expectation_words(Expectation(60.0, 500.0, MB, MB, foreign_cores=0.05))
    assert not any("other programs" in line for line in quiet)
