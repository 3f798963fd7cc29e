"""Check that packing a network's tensors changes where they are and nothing else."""

import copy
import pickle

import pytest
import torch

from harness.federated.server import FederatedAverage
from models.execution import parse_execution
from models.multitask.network import MultiTaskNet, build
from models.multitask.registry import architecture
from models.packed import Packed, pack


def _net(seed: int = 0) -> MultiTaskNet:
    return build(architecture("small"), "sd", seed)


def _strange() -> dict[str, torch.Tensor]:
    """Return tensors of several types and shapes: a number, none at all, channels last."""
    return {
        "number": torch.tensor(7),
        "none": torch.empty(0, 3),
        "row": torch.arange(5.0),
        "picture": torch.arange(48.0).view(2, 2, 3, 4).to(memory_format=torch.channels_last),
        "half": torch.arange(3, dtype=torch.bfloat16),
        "mask": torch.tensor([True, False, True]),
    }


def test_packed_tensors_have_the_values_types_shapes_and_strides_of_the_originals() -> None:
    """Reading by name gives what was packed, laid out in memory as before, in the same order."""
    originals = _strange()

    packed = pack(originals)

    assert list(packed) == list(originals)
    assert len(packed) == len(originals)
    for name, tensor in originals.items():
        assert torch.equal(packed[name], tensor), name
        assert packed[name].dtype == tensor.dtype, name
        assert packed[name].stride() == tensor.stride(), name


def test_packed_tensors_do_not_overlap_and_begin_on_cache_lines() -> None:
    """Writing to one tensor changes no other, and each starts at a multiple of 64 bytes."""
    packed = pack(_strange())

    for name in packed:
        before = {k: v.clone() for k, v in packed.items()}
        packed[name].copy_(torch.zeros_like(packed[name]))
        assert all(torch.equal(v, before[k]) for k, v in packed.items() if k != name)
        assert packed[name].storage_offset() * packed[name].element_size() % 64 == 0


def test_the_size_counts_the_tensors_and_not_the_gaps() -> None:
    """8 bytes of int64, 0, 20 and 192 of fp32, 6 of bf16, 3 of bool."""
    assert pack(_strange()).layout.bytes == 8 + 0 + 20 + 192 + 6 + 3


def test_copying_from_the_same_layout_and_from_a_mapping_agree() -> None:
    """One copy of memory and a copy by name give the same tensors, and leave the source alone."""
    source = pack({name: tensor + 1 for name, tensor in _strange().items()})
    by_block, by_name = (source.each(torch.zeros_like) for _ in range(2))

    by_block.copy_(source)
    by_name.copy_(dict(source))

    assert all(torch.equal(by_block[name], source[name]) for name in source)
    assert all(torch.equal(by_name[name], source[name]) for name in source)
    by_block["row"].zero_()
    assert source["row"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_tensors_packed_in_another_order_are_copied_by_name() -> None:
    """Blocks of another layout would land in the wrong places."""
    ours = pack({"a": torch.tensor([1.0]), "b": torch.tensor([2.0])})
    theirs = pack({"b": torch.tensor([20.0]), "a": torch.tensor([10.0])})

    ours.copy_(theirs)

    assert (ours["a"].item(), ours["b"].item()) == (10.0, 20.0)


def test_a_network_computes_and_saves_the_same_after_its_tensors_moved() -> None:
    """Predictions, state dict and gradients are those of a network that was never packed."""
    plain, packed = _net(), _net()
    packed.held()
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    for net in (plain, packed):
        sum(prediction.square().mean() for prediction in net(images).values()).backward()

    for (name, ours), theirs in zip(packed.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
        assert torch.equal(ours.grad, theirs.grad), name
    state = packed.state_dict()
    assert all(torch.equal(state[name], value) for name, value in plain.state_dict().items())


def test_what_a_network_takes_arrives_in_its_layers() -> None:
    """Taking another network's weights makes it predict as that one does, packed alike or not."""
    net, other = _net(0), _net(1)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    wanted = other.eval()(images)
    start = net.held().each(torch.clone)

    net.take(dict(other.state_dict()))
    assert all(torch.equal(net.eval()(images)[task], wanted[task]) for task in "sd")
    net.take(start)
    assert all(torch.equal(net.eval()(images)[t], _net(0).eval()(images)[t]) for t in "sd")


@pytest.mark.parametrize("way", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_of_a_packed_network_is_on_its_own(way: object) -> None:
    """What the copy takes reaches the copy's layers, and the original keeps its weights."""
    net = _net()
    before = net.held().each(torch.clone)

    copied = way(net)  # type: ignore[operator]
    copied.take({name: tensor + 1 for name, tensor in before.items()})

    weights = copied.state_dict()
    assert all(torch.equal(weights[name], tensor + 1) for name, tensor in before.items())
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in before.items())


def test_a_network_that_moves_packs_anew() -> None:
    """After another memory layout the held tensors are the layers' own again."""
    net = _net()
    old = net.held()

    net.execute_as(parse_execution("channels-last"))
    net.take({name: torch.ones_like(tensor) for name, tensor in old.items()})

    assert all(bool((parameter == 1).all()) for parameter in net.parameters())
    assert net.held()["encoder.1.0.weight"].is_contiguous(memory_format=torch.channels_last)


def test_the_average_of_packed_models_is_that_of_their_tensors() -> None:
    """Averaging whole blocks gives the tensors that averaging by name does, to the last bit."""
    models = [_net(seed).state_dict() for seed in range(3)]
    layout = pack(models[0])
    packed = []
    for model in models:
        packed.append(layout.each(torch.clone))
        packed[-1].copy_(model)
    by_name, by_block = FederatedAverage(6.0), FederatedAverage(6.0)

    for weight, (model, blocks) in enumerate(zip(models, packed, strict=True), 1):
        by_name.add(model, weight)
        by_block.add(blocks, weight)

    wanted, found = by_name.result().tensors, by_block.result().tensors
    assert isinstance(found, Packed)
    assert list(found) == list(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert all(found[name].dtype == wanted[name].dtype for name in wanted)


def test_models_packed_differently_are_not_averaged() -> None:
    """Adding blocks of another layout would mix weights up, so it is refused."""
    average = FederatedAverage(2.0)
    average.add(pack({"w": torch.ones(2)}), 1.0)

    with pytest.raises(ValueError, match="different ways"):
        average.add(pack({"w": torch.ones(2)}), 1.0)
