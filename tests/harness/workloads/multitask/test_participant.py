"""A device compares a way of executing steps on data of its own before it first trains that way."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import nn

from harness.core.errors import StepRefusedError
from harness.federated.trainers import RoundRequest
from harness.running.target import resolve_target
from harness.workloads.multitask.data.dataset import open_data
from harness.workloads.multitask.participant import MultitaskParticipant
from harness.workloads.multitask.settings import federation
from harness.workloads.multitask.training.client import RoundSettings
from harness.workloads.multitask.training.step_trial import as_executed
from harness.workloads.on_devices import ChecksSteps
from models.execution import PLAIN, Execution
from models.multitask.registry import architecture
from tests.harness.run_folder.conftest import Runner, SilentScreen

FUSED = Execution(optimizer="fused")
CONTIGUOUS = Execution(memory_format="contiguous", optimizer="fused")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    config = Runner(tmp_path_factory.mktemp("cache")).config(tmp_path_factory.mktemp("out"))
    return config, open_data(config, SilentScreen())


@dataclass
class Kernels:
    """Sum wrongly in some ways, and note what was executed."""

    wrong: tuple[Execution, ...] = ()
    seen: list[tuple[str, Execution]] = field(default_factory=list)

    def __call__(self, net, batch):
        self.seen.append(("".join(net.decoders), net.execution))
        losses = as_executed(net, batch)
        if net.execution in self.wrong:
            first = next(m for m in net.encoder.modules() if isinstance(m, nn.Conv2d))
            first.weight.grad[:, :, 0] = 0.0
        return losses


class Watched:
    """Note whose data are read."""

    def __init__(self, store):
        self._store = store
        self.read = set()

    def __getattr__(self, name):
        return getattr(self._store, name)

    def split(self, split, client):
        self.read.add((split, client))
        return self._store.split(split, client)


def device(opened, kernels, step="fused", store=None):
    config, data = opened
    config = replace(config, step=step)
    target = resolve_target(config)
    return MultitaskParticipant(
        config, target, store or data, architecture(config.model), run=kernels
    )


def request(opened, execution, tasks, batch_size=2):
    config = replace(opened[0], batch_size=batch_size)
    training = federation(config, execution).training
    return RoundRequest(tasks, tuple(tasks), 0, [1], 0, RoundSettings(training, 0.1, False))


def test_the_way_that_a_run_begins_with_is_compared_on_the_devices_own_data(opened) -> None:
    """Merged and single model, once; what was found says with which PyTorch and how close."""
    kernels, store = Kernels(), Watched(opened[1])
    one = device(opened, kernels, store=store)
    assert isinstance(one, ChecksSteps)
    one.check_steps([1])
    one.check_steps([1])
    assert kernels.seen == [("sd", FUSED), ("s", FUSED)]
    assert store.read == {("train", 1)}
    assert [check.network for check in one.step_checks] == ["sd", "s"]
    for check in one.step_checks:
        assert check.fault == ""
        assert check.cosine >= check.least_cosine == 0.99999
        assert check.torch == torch.__version__
        assert "compute what plain fp32 does" in check.words


def test_a_wrong_way_is_refused_each_time_and_compared_once(opened) -> None:
    kernels = Kernels(wrong=(FUSED,))
    one = device(opened, kernels)
    for _ in range(2):
        with pytest.raises(StepRefusedError, match=r"steps of sd on the processor.*cosine") as told:
            one.check_steps([0])
    assert "--step plain" in told.value.remedy
    assert kernels.seen == [("sd", FUSED)]


def test_a_network_way_or_batch_that_is_new_is_compared_before_it_trains(opened) -> None:
    """Methods split, and a server may choose: of a request its own way counts."""
    kernels = Kernels(wrong=(CONTIGUOUS,))
    one = device(opened, kernels)
    one.check_steps([1], request(opened, PLAIN, "d"))
    assert kernels.seen == []
    one.check_steps([1], request(opened, FUSED, "d"))
    one.check_steps([1], request(opened, FUSED, "d"))
    one.check_steps([1], request(opened, FUSED, "d", batch_size=4))
    assert kernels.seen == [("d", FUSED)] * 2
    with pytest.raises(StepRefusedError, match="contiguous, fused steps of d"):
        one.check_steps([1], request(opened, CONTIGUOUS, "d"))
    one.check_steps([1], request(opened, FUSED, "d"))


def test_plain_steps_are_not_compared(opened) -> None:
    for step in ("plain", "auto"):
        kernels = Kernels()
        one = device(opened, kernels, step)
        one.check_steps([0])
        assert (kernels.seen, one.step_checks) == ([], ())


def test_what_this_processor_cannot_do_is_refused_in_words(opened) -> None:
    one = device(opened, Kernels())
    with pytest.raises(StepRefusedError, match="cannot be executed: tf32 and graph are for a GPU"):
        one.check_steps([0], request(opened, Execution("tf32"), "s"))
