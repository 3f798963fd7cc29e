"""Check methods that weigh tasks: their jobs, what travels and is kept, what is refused."""

import json
from dataclasses import fields

import numpy as np
import pytest
import torch

from harness.config import parse_option
from harness.core.errors import UsageError
from harness.federated.job import Checkpoint
from harness.federated.keeping import ForgetfulKeeper
from harness.federated.observer import SilentObserver
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods.registry import parse
from harness.workloads.multitask.methods.schedule import Setting, carry_out
from harness.workloads.multitask.methods.weighing_list import WEIGHING
from harness.workloads.multitask.training.client import LocalTraining, RoundSettings
from harness.workloads.multitask.wire import MultitaskWire
from models.multitask.weighting import (
    DualBalanceRule,
    FamoRule,
    FixedWeights,
    GramRule,
    UncertaintyRule,
)

CARRIED = [UncertaintyRule(), FamoRule(), DualBalanceRule()]


class _Writing:
    """Write jobs down and answer with validation losses that grow with the weight of `s`."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def run(self, job: Job) -> Outcome:
        self.jobs.append(job)
        loss = job.local.weights["s"] if isinstance(job.local, FixedWeights) else 1.0
        losses = dict.fromkeys(job.tasks, loss)
        return Outcome(job, Checkpoint({}), losses, validation_losses=losses)


def _asked(text: str, tasks: str = "sdn", seed: int = 0):
    engine = _Writing()
    served = carry_out(parse(text).schedule(Setting(tasks, 4, seed=seed)), engine)
    return engine.jobs, served


def test_weights_are_scaled_to_sum_to_the_number_of_tasks() -> None:
    """s:1,d:4 with n at 1: sixths of three."""
    ((job,), _) = _asked("all-in-one:weights=s:1,d:4")

    assert job.local.weights == pytest.approx({"s": 0.5, "d": 2.0, "n": 0.5})
    assert _asked("all-in-one")[0][0].local is None


def test_weights_may_stand_in_a_list_of_methods() -> None:
    """As typed at the command: the list that `harness.run --methods` reads."""
    typed = "independent,all-in-one:weights=s:1,d:4,all-in-one:weights=n:2,mas:splits=2,sure=0.8"
    (methods,) = (f for f in fields(MultitaskConfig) if f.name == "methods")

    assert parse_option(methods, typed) == (
        "independent", "all-in-one:weights=s:1,d:4", "all-in-one:weights=n:2",
        "mas:splits=2,sure=0.8",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "words"),
    [("z:1", "'z' is no letter of a task"), ("depth:1", "no letter"), ("s:0", "above 0"),
     ("s:-1", "above 0"), ("s:nan", "above 0"), ("s:inf", "above 0"), ("s:big", "not 'big'"),
     ("s:1,s:2", "two weights"), ("s", "no weight of a task"), ("", "no weight of a task")],
)  # fmt: skip
def test_weights_that_cannot_be_are_refused_in_words(weights: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(f"all-in-one:weights={weights}")


@pytest.mark.parametrize(
    ("text", "tasks", "words"),
    [("all-in-one:weights=r:1", "sdn", "none of this run's tasks"),
     ("tuned-weights", "s", "a single task"), ("tuned-weights:tries=0", "sd", "at least 1"),
     ("fairgrad:alpha=0", "sd", "at least 0.05"), ("fairgrad:alpha=100", "sd", "below 20"),
     ("cagrad:c=1", "sd", "below 1"), ("db-mtl:beta=1", "sd", "below 1"),
     ("db-mtl:at=features,beta=0.5", "sd", "their mean says nothing")],
)  # fmt: skip
def test_impossible_settings_are_refused_in_words(text: str, tasks: str, words: str) -> None:
    (problem,) = parse(text).problems(Setting(tasks, 10))

    assert words in problem.message
    assert problem.exit_status == 2


@pytest.mark.parametrize(
    ("text", "near"), [("cagrd", "cagrad"), ("nash", "nash-mtl"), ("cagrad:at=feature", "features")]
)
def test_unknown_rules_name_the_nearest(text: str, near: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(text)

    assert near in str(raised.value)


def test_defaults_are_those_of_the_papers() -> None:
    rules = {
        "famo": FamoRule(0.025, 0.01, 1.0), "db-mtl": DualBalanceRule(0.9, 0.0),
        "db-mtl:at=features": DualBalanceRule(0.0, at="features"),
        "cagrad": GramRule("cagrad", 0.4),
        "fairgrad": GramRule("fairgrad", 1.0), "nash-mtl": GramRule("nash-mtl", most_norm=1.0),
        "mgda:at=features": GramRule("mgda", at="features"),
    }  # fmt: skip
    assert {text: _asked(text)[0][0].local for text in rules} == rules


def test_tuning_is_charged_for_all_it_tries_and_chooses_by_validation() -> None:
    """The first weights are equal, jobs have names of their own, the least loss serves."""
    jobs, (served,) = _asked("tuned-weights:tries=5,span=3")

    assert [job.name for job in jobs] == [f"sdn~{number}" for number in range(5)]
    assert jobs[0].local.weights == pytest.approx(dict.fromkeys("sdn", 1.0))
    weights = np.array([list(job.local.weights.values()) for job in jobs])
    assert weights.sum(1) == pytest.approx(np.full(5, 3.0))
    assert (weights.max(1) / weights.min(1) <= 9.0).all()
    assert served.outcome.job.local.weights["s"] == weights[:, 0].min()
    assert _asked("tuned-weights:tries=5,span=3")[0] == jobs
    assert _asked("tuned-weights:tries=5,span=3", seed=1)[0][1:] != jobs[1:]


@pytest.mark.parametrize("text", [m.name for m in WEIGHING if m.name != "tuned-weights"])
def test_a_single_task_can_be_trained(text, tiny_source, tiny_architecture, federation) -> None:
    """With one task the rules of inner products are plain training, to rounding."""
    ends = []
    for name in (text, "all-in-one"):
        engine = LocalEngine(tiny_source, tiny_architecture, federation, 0, SilentObserver())
        (served,) = carry_out(parse(name).schedule(Setting("d", 2)), engine)
        ends.append(served.outcome)
    ours, plain = ends
    rule = ours.job.local
    if isinstance(rule, GramRule) and not rule.most_norm:
        for key, value in plain.weights.tensors.items():
            assert torch.allclose(ours.weights.tensors[key], value, rtol=1e-3, atol=1e-4), key


class _Stopping(ForgetfulKeeper):
    """Keep the state after each round as it would be read again from a disk."""

    def __init__(self, state=None) -> None:
        self.state = state

    def recall(self, job):
        return self.state

    def keep(self, job, state) -> None:
        tensors = {k: v.clone() for k, v in state.weights.tensors.items()}
        self.kept = {**getattr(self, "kept", {}), state.rounds_done: (state, tensors)}


@pytest.mark.parametrize("rule", CARRIED, ids=lambda rule: type(rule).__name__)
def test_what_travels_is_kept_counted_and_averaged(
    rule, tiny_source, tiny_architecture, federation
) -> None:
    """A job that is taken up after a round ends with the same bits; without what travelled it does
    not; and every model is longer by it on its way.
    """
    from dataclasses import replace  # noqa: PLC0415

    def run(keeper, job):
        heard = SilentObserver()
        return LocalEngine(tiny_source, tiny_architecture, federation, 0, heard, keeper).run(job)

    job = Job("sdn", 3, local=rule)
    whole = run(first := _Stopping(), job)
    state, tensors = first.kept[1]
    again = run(_Stopping(replace(state, weights=Checkpoint(tensors))), job)
    begun = {k: torch.zeros_like(v) if "_carried" in k else v for k, v in tensors.items()}
    forgetful = run(_Stopping(replace(state, weights=Checkpoint(begun))), job)

    def same(one, two):
        return all(torch.equal(v, two.weights.tensors[k]) for k, v in one.weights.tensors.items())

    assert same(whole, again)
    assert not same(whole, forgetful)
    plain = run(_Stopping(), Job("sdn", 3))
    beside = [v for k, v in whole.weights.tensors.items() if "_carried" in k]
    size = sum(v.numel() * v.element_size() for v in beside)
    assert size > 0
    extra = whole.traffic.upload_bytes - plain.traffic.upload_bytes
    assert extra == 3 * federation.clients_per_round * size
    if isinstance(rule, DualBalanceRule):
        encoder = sum(p.numel() for p in tiny_architecture.encoder().parameters())
        assert size == 3 * 4 * encoder + 8


@pytest.mark.parametrize(
    "rule",
    [*CARRIED, FixedWeights({"s": 0.5, "d": 1.5}), GramRule("cagrad", 0.4, "features"),
     FamoRule(again=False, travels=False)],
    ids=str,
)  # fmt: skip
def test_rules_reach_other_devices_as_they_are(rule) -> None:
    """What is written for a device and read there, through JSON, is the same rule."""
    training = LocalTraining(epochs=1, batch_size=2, rule=rule)
    told = MultitaskWire.settings(RoundSettings(training, 0.1, measuring=False))

    assert MultitaskWire.read_settings(json.loads(json.dumps(told))).training.rule == rule
