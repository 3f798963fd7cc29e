"""Which runs say by what they are judged, and what stands in where they do not."""

from harness.evidence.yardstick import Yardstick, yardstick


def test_a_run_is_judged_by_what_it_says():
    """A reader needs no workload for it, and a later one cannot change it."""
    said = {"name": "f1", "better": "higher", "reference": "retrain", "meaning": "", "unit": ""}
    found = yardstick({"workload": "nobody-has-it", "objective": said})
    assert found == Yardstick("f1", "higher", "retrain")
    assert (found.column, found.quantity) == ("objective_value", "f1")


def test_old_runs_are_judged_by_the_loss():
    """Until schema 4 there was one workload and no word on it."""
    for manifest in ({}, {"workload": "multitask"}):
        found = yardstick(manifest)
        assert found == Yardstick("total_loss", "lower", "independent")
        assert (found.column, found.quantity, found.words) == ("total_loss", "loss", "total loss")


def test_what_trains_nothing_is_judged_by_nothing():
    """Nor is a run of a workload that is not installed here and says nothing."""
    assert yardstick({"workload": "measure"}) == Yardstick(unit="turn")
