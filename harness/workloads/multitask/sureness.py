"""Say of a finished cell how sure its split by affinity is."""

from __future__ import annotations

from harness.records.cells import CellResult
from harness.workloads.multitask.affinity.matrix import Affinity
from harness.workloads.multitask.methods.registry import MultitaskMethod
from harness.workloads.multitask.methods.schedule import Setting
from harness.workloads.multitask.methods.split_analysis import SURE
from harness.workloads.multitask.methods.until_sure import sure_share


def measured_affinity(result: CellResult) -> Affinity | None:
    """Return the first affinity measured: that of one job, or of those that go on with it."""
    found = [o.affinity for o in result.trained if o.affinity is not None]
    if not found:
        return None
    own = [affinity for affinity in found if affinity.tasks == found[0].tasks]
    return Affinity(found[0].tasks, tuple(r for affinity in own for r in affinity.rounds))


def split_sure(measured: Affinity | None, spec: MultitaskMethod, setting: Setting) -> float | None:
    """Return how sure the split is: the share of bootstrap samples that give the same groups.

    None if nothing was split by affinity, or fewer than two clients measured it.
    """
    choose = spec.choice(setting)
    if measured is None or choose is None:
        return None
    counted = spec.parameters(setting).get("affinity_rounds")
    rounds = measured.first(None if counted is None else int(counted)).rounds
    return sure_share(rounds, choose)


def sure_words(sure: float | None) -> str:
    """Say how sure a split is; below 80 % of the samples it is a coin toss."""
    if sure is None:
        return ""
    doubt = "" if sure >= SURE else ": a coin toss"
    return f" (the split of {100 * sure:.0f} % of samples{doubt})"
