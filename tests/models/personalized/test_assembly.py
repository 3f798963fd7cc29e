"""Stitches join every pair of shapes; networks put together have the size foretold."""

import itertools

import numpy as np
import pytest
import torch

from models.personalized.assembly import BlockName, Chain, assemble, stitches
from models.personalized.blocks import build
from models.personalized.families import FAMILIES, shapes
from models.personalized.shapes import stitch_parameters
from models.personalized.stitches import Stitch

IMAGE = (1, 8, 8)

JOINS = [
    ((4, 8, 8), (6, 8, 8), 30), ((4, 8, 8), (6, 4, 4), 30), ((4, 4, 4), (6, 8, 8), 30),
    ((4, 8, 8), (5,), 25), ((7,), (5,), 40), ((7,), (6, 4, 4), 48),
]  # fmt: skip


@pytest.mark.parametrize(("arrives", "wanted", "size"), JOINS)
def test_shapes_and_parameters_of_all_joins(arrives, wanted, size) -> None:
    stitch = Stitch(arrives, wanted)
    assert stitch(torch.randn(3, *arrives)).shape == (3, *wanted)
    assert sum(p.numel() for p in stitch.parameters()) == size == stitch_parameters(arrives, wanted)


def test_any_two_shapes_of_the_families_can_be_joined() -> None:
    found = {s for f in FAMILIES for b in shapes(f, IMAGE, 10) for s in (b.takes, b.gives)}
    for arrives, wanted in itertools.product(found, repeat=2):
        assert Stitch(arrives, wanted)(torch.rand(2, *arrives)).shape == (2, *wanted)


def test_least_squares_undoes_a_rotation() -> None:
    random = torch.Generator().manual_seed(0)
    wanted = torch.randn(64, 4, 8, 8, generator=random).clamp(min=0)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=random))[0]
    arrives = torch.einsum("oc,nchw->nohw", turn, wanted)
    stitch = Stitch((4, 8, 8), (4, 8, 8))
    stitch.fit(arrives, wanted, ridge=1e-9)
    assert (stitch(arrives) - wanted).abs().max() < 1e-3


def test_dead_features_fit_without_failing() -> None:
    stitch = Stitch((4, 8, 8), (5,))
    stitch.fit(torch.zeros(16, 4, 8, 8), torch.ones(16, 5))
    assert torch.isfinite(stitch(torch.zeros(16, 4, 8, 8))).all()


def nets():
    return {
        owner: build(shapes(family, IMAGE, 10), torch.Generator().manual_seed(owner)).eval()
        for owner, family in enumerate(FAMILIES)
    }


def own_parts(owner):
    family = list(FAMILIES)[owner]
    return tuple(BlockName(owner, family, i) for i in range(len(FAMILIES[family].blocks) + 2))


def used_to(found, images):
    takes = {}
    for owner, net in found.items():
        features = images
        for part, block in zip(own_parts(owner), net.blocks, strict=True):
            takes[part] = features
            features = block(features)
    return takes


def some_chains(count=60):
    random, heads = np.random.default_rng(0), [own_parts(o)[-1] for o in range(len(FAMILIES))]
    inner = [p for o in range(len(FAMILIES)) for p in own_parts(o)[:-1]]
    for _ in range(count):
        middle = [inner[i] for i in random.choice(len(inner), random.integers(1, 5))]
        yield Chain((*middle, heads[random.integers(len(heads))]), IMAGE, 10)


def test_size_foretold_is_size_built_and_stitches_alone_are_trainable() -> None:
    found, images = nets(), torch.rand(32, *IMAGE)
    with torch.no_grad():
        takes = used_to(found, images)
    for chain in some_chains():
        net = assemble(chain, found, images, takes)
        assert net.parameter_count == chain.parameters
        assert net(images).shape == (32, 10)
        trainable = sum(p.numel() for p in net.parameters() if p.requires_grad)
        assert trainable == chain.stitch_parameters == sum(p.numel() for p in stitches(net))
        empty = chain.empty()
        empty.load_state_dict(net.state_dict())
        assert torch.equal(empty.eval()(images), net(images))


@pytest.mark.parametrize("owner", range(len(FAMILIES)))
def test_the_own_chain_needs_no_stitch_and_is_the_own_network(owner) -> None:
    found, images = nets(), torch.rand(8, *IMAGE)
    chain = Chain(own_parts(owner), IMAGE, 10)
    assert chain.stitch_parameters == 0
    assert chain.parameters == found[owner].parameter_count
    net = assemble(chain, found, images, used_to(found, images))
    assert torch.equal(net(images), found[owner](images))


def test_training_stitches_leaves_the_blocks_sources_as_they_are() -> None:
    found, images = nets(), torch.rand(32, *IMAGE)
    before = {o: {n: t.clone() for n, t in net.state_dict().items()} for o, net in found.items()}
    chain = Chain((own_parts(2)[1], own_parts(5)[2], own_parts(3)[2], own_parts(6)[4]), IMAGE, 10)
    net = assemble(chain, found, images, used_to(found, images))
    copies = {n: t.clone() for n, t in net.state_dict().items()}
    optimizer = torch.optim.Adam(stitches(net), 0.1)
    net(images).square().mean().backward()
    optimizer.step()
    changed = {n for n, t in net.state_dict().items() if not torch.equal(t, copies[n])}
    assert changed
    assert all(name.startswith("joins.") for name in changed)
    for owner, tensors in before.items():
        for name, tensor in found[owner].state_dict().items():
            assert torch.equal(tensor, tensors[name])


def test_statistics_of_batch_norm_travel_with_their_block() -> None:
    found, images = nets(), torch.rand(32, *IMAGE)
    mobile = list(FAMILIES).index("mobile")
    norm = found[mobile].blocks[1].layer[2]
    norm.running_mean.copy_(torch.arange(24.0))
    chain = Chain((own_parts(mobile)[1], own_parts(mobile)[4]), IMAGE, 10)
    net = assemble(chain, found, images, used_to(found, images))
    assert not net.training
    assert torch.equal(net.blocks[0].layer[2].running_mean, torch.arange(24.0))
    net(images)
    assert torch.equal(norm.running_mean, torch.arange(24.0))


def test_paths_are_written_as_people_read_them() -> None:
    parts = (BlockName(4, "tiny", 1), BlockName(-1, "dense", 0), BlockName(1, "small", 2))
    assert Chain(parts, IMAGE, 10).text == "c4.2>dense.1>c1.3"
