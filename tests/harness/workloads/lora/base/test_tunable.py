"""A stack is added in place: no dense product of it is ever made."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.federated.job import Checkpoint
from harness.workloads.lora.aggregation.adapters import LowRank, fresh
from harness.workloads.lora.base.opening import open_model
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.exact_rules import absorbed, with_stack
from harness.workloads.lora.rules import AdapterFederation, Fitting


class Allocations(TorchDispatchMode):
    """Note the numbers of every tensor that an operation makes anew."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        places = {x.untyped_storage().data_ptr() for x in args if isinstance(x, torch.Tensor)}
        found = function(*args, **(kwargs or {}))
        self.made += [
            tuple(tensor.shape)
            for tensor in (found if isinstance(found, list | tuple) else [found])
            if isinstance(tensor, torch.Tensor)
            and tensor.untyped_storage().data_ptr() not in places
        ]
        return found


@pytest.fixture(scope="module")
def model():
    return open_model(LoraConfig(methods=("flora",))).model


def stack_of(model, rank):
    random = torch.Generator().manual_seed(rank)
    return {
        name: LowRank(
            torch.randn(rank, n, generator=random), torch.randn(m, rank, generator=random)
        )
        for name, (m, n) in model.shapes.items()
    }  # fmt: skip


def test_fitting_a_stack_makes_no_dense_tensor(model):
    """The base's own weights are kept once; from then on nothing of a layer's size is made."""
    worn = fresh(model.shapes, 2, np.random.default_rng(0))
    model.fit(Fitting(stack=stack_of(model, 3)))
    base = {name: model._kept[name].clone() for name in model.shapes}
    stack = stack_of(model, 14)
    with Allocations() as seen:
        model.fit(Fitting(stack=stack, worn=worn))
    layers = {shape for m, n in model.shapes.values() for shape in ((m, n), (n, m))}
    assert not layers & set(seen.made)
    for name, (a, b) in stack.items():
        assert torch.allclose(model.weight(name), base[name] + b @ a, atol=1e-4)
    model.fit(Fitting())
    assert all(torch.equal(model.weight(name), base[name]) for name in base)


def test_the_tracer_sees_a_dense_product(model):
    """What the test above would find: B·A built, then added."""
    a, b = torch.ones(2, 5), torch.ones(7, 2)
    with Allocations() as seen:
        torch.zeros(7, 5).add_(b @ a)
    assert seen.made.count((7, 5)) == 2


def test_absorbing_a_stack_makes_one_dense_sum_a_layer_and_no_product(model):
    """A second round keeps Σ B·A of the first: one tensor a layer, added to in place."""
    federation = AdapterFederation(model.shapes, (4, 2), 2.0, 0)
    before = Checkpoint(with_stack(Checkpoint({}), stack_of(model, 6), federation))
    with Allocations() as seen:
        after = absorbed(before, federation)
    assert sum(len(shape) == 2 for shape in seen.made) == len(model.shapes)
    for name, (a, b) in stack_of(model, 6).items():
        assert torch.allclose(after[f"delta/{name}"], b @ a, atol=1e-4)


def test_weights_of_their_own_are_taken_whole_whatever_was_added_before(model):
    """What one method added to the base, and what another trained it to, both leave no trace."""
    model.fit(Fitting())
    base = {name: p.detach().clone() for name, p in model.own_parameters().items()}
    trained = {name: torch.full_like(tensor, 0.5) for name, tensor in base.items()}
    dense = {name: torch.ones(m, n) for name, (m, n) in model.shapes.items()}
    for before in (Fitting(deltas=dense), Fitting(stack=stack_of(model, 3)), Fitting()):
        model.fit(before)
        model.fit(Fitting(weights=trained))
        assert all(torch.equal(p, trained[n]) for n, p in model.own_parameters().items())
        model.fit(Fitting(deltas=dense))
        for name, added in dense.items():
            assert torch.equal(model.weight(name), base[f"{name}.weight"] + added)
        model.fit(Fitting())
        assert all(torch.equal(p, base[n]) for n, p in model.own_parameters().items())
