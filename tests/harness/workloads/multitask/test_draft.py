"""A new run settles how it trains by itself, whatever another run's manifest says."""

from types import SimpleNamespace

import pytest

from harness.workloads.multitask.draft import MultitaskDraft
from harness.workloads.multitask.methods.cost import Calibration
from harness.workloads.multitask.planning import training_setup
from harness.workloads.multitask.planning.calibration import RunTiming
from harness.workloads.multitask.planning.step_choice import StepChoice
from harness.workloads.multitask.planning.training_setup import TrainingSetup
from models.execution import PLAIN, parse_execution

ANOTHER = StepChoice(parse_execution("fp32+channels-last"), 2, "auto")
OWN = StepChoice(PLAIN, 1, "auto")
SLOW, FAST = (RunTiming(Calibration({"encoder": s})) for s in (9.0, 1.0))
MANIFEST = {"step": ANOTHER.as_dict(), **SLOW.as_dict()}


@pytest.fixture
def draft(monkeypatch):
    """Make drafts; what would be measured gives `OWN` and `FAST`."""
    monkeypatch.setattr(TrainingSetup, "choose", lambda _: OWN)
    monkeypatch.setattr(training_setup, "take_timing", lambda *_, **__: FAST)
    target, config = SimpleNamespace(matches=True), SimpleNamespace(board_python="")
    monkeypatch.setattr(StepChoice, "applied_to", lambda _, asked: asked)
    setup = TrainingSetup(config, target, None)
    return lambda earlier: MultitaskDraft(setup, ANOTHER, SLOW, earlier)


def test_a_new_run_takes_neither_step_nor_timing_of_the_run_it_did_not_go_on_with(draft):
    """The draft was made for that run; what it took from there is not the new one's."""
    assert draft(MANIFEST).own_step() == OWN
    assert draft(MANIFEST).own_timing(OWN) == FAST


def test_what_was_settled_for_this_run_is_not_settled_twice(draft):
    """Without another run's manifest step and timing are this host's, just measured."""
    assert draft({}).own_step() == ANOTHER
    assert draft({}).own_timing(ANOTHER) == SLOW
    damaged = {"step": {"execution": "?"}, "calibration": []}
    assert draft(damaged).own_step() == ANOTHER
    assert draft(damaged).own_timing(ANOTHER) == SLOW
