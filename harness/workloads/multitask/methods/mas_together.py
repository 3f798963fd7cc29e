"""MAS that splits but does not part: after the split, groups' encoders go on exchanging steps."""

from __future__ import annotations

from harness.workloads.multitask.exchange.conflict_averse import ConflictAverse
from harness.workloads.multitask.methods.continuation import Continuation
from harness.workloads.multitask.methods.in_step import in_step
from harness.workloads.multitask.methods.measuring import Measuring
from harness.workloads.multitask.methods.schedule import Choice, Schedule, Setting, serving_itself
from harness.workloads.multitask.methods.split import best_split
from harness.workloads.multitask.methods.until_sure import measured_merge


def mas_together(
    setting: Setting,
    *,
    splits: int,
    caution: float,
    share: float,
    go_on: Continuation,
    measuring: Measuring,
) -> Schedule:
    """Merge and split as MAS does; then add to every group's round the step that none suffers from.

    That costs clients nothing: what they sent back is all the server needs. Decoders, which are of
    one task each, exchange nothing.
    """
    choose = choice(setting, splits=splits)
    merged = yield from measured_merge(go_on.merged_job(setting), measuring, choose)
    if merged.affinity is None or go_on.merge_rounds == setting.rounds:
        return [serving_itself(merged)]
    groups = choose(measuring.mean(merged.affinity))
    jobs = [go_on.group_job(group, setting, merged) for group in groups]
    return (yield from in_step(jobs, ConflictAverse(caution, share, decoders=False)))


def choice(setting: Setting, *, splits: int, **_others: object) -> Choice:
    """Return what says which groups the merged affinity gives, as in MAS."""
    return lambda affinity: best_split(affinity, setting.tasks, splits, exact=True).groups
