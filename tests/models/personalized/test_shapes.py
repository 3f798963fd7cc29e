"""Sizes and shapes that are foretold are those of the networks that are built."""

import pytest
import torch

from devices.profile import load_profiles
from models.personalized.blocks import build
from models.personalized.families import (
    EMBEDDING,
    FAMILIES,
    family_of,
    parameters,
    shapes,
    training_bytes,
)
from models.personalized.shapes import BlockPlan, chain

IMAGES = [(1, 8, 8), (3, 16, 12), (1, 28, 28)]


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_the_shapes_and_parameters_foretold(family, image) -> None:
    plan = shapes(family, image, 10)
    net = build(plan, torch.Generator().manual_seed(0)).eval()
    features = torch.rand(3, *image)
    for shape, block in zip(plan, net.blocks, strict=True):
        features = block(features)
        assert features.shape == (3, *shape.gives)
        assert sum(p.numel() for p in block.parameters()) == shape.parameters
        moving = [b for n, b in block.named_buffers() if n.endswith(("mean", "var"))]
        assert sum(b.numel() for b in moving) == shape.statistics
    assert net.parameter_count == parameters(family, image, 10)
    assert net.embed(torch.rand(3, *image)).shape == (3, EMBEDDING)
    assert features.shape == (3, 10)


def test_arithmetic_is_that_of_its_formula() -> None:
    """8×8 pixels, 9 weights, 2 channels in, 5 out, a multiplication and an addition each."""
    (block,) = chain([BlockPlan("conv", 5)], (2, 8, 8))
    assert block.arithmetic == 2 * 64 * 9 * 2 * 5
    (dense,) = chain([BlockPlan("dense", 7)], (2, 8, 8))
    assert dense.arithmetic == 2 * 128 * 7


def test_published_sizes_of_the_prototype_hold_for_its_families() -> None:
    """Its six families at 8×8, as far as they are built alike here."""
    found = {f: parameters(f, (1, 8, 8), 10) for f in ("tiny", "small", "deep", "residual", "wide")}
    assert found == {"tiny": 2050, "small": 7074, "deep": 12686, "residual": 23706, "wide": 28954}


def test_a_map_too_small_or_a_vector_before_a_map_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be halved"):
        shapes("small", (1, 3, 3), 10)
    with pytest.raises(ValueError, match="follow a vector"):
        chain([BlockPlan("dense", 4), BlockPlan("conv", 4)], (1, 8, 8))


def test_same_start_same_weights_and_torchs_own_stream_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = (
        build(shapes("deep", (1, 8, 8), 4), torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(before, torch.get_rng_state())
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name])
    spread = float(one.blocks[1].layer.weight.detach().std())
    assert spread == pytest.approx((2 / (12 * 9)) ** 0.5, rel=0.1)  # He's


def test_stronger_devices_get_families_of_more_arithmetic() -> None:
    profiles = sorted(load_profiles(), key=lambda p: p.compute.flop_per_s)
    places = [list(FAMILIES).index(family_of(p.compute.flop_per_s)) for p in profiles]
    assert places == sorted(places)
    gets = {p.name: family_of(p.compute.flop_per_s) for p in profiles}
    assert gets["raspberry-pi-zero-2"] == "dense"
    assert len(set(gets.values())) == len(FAMILIES)
    costs = [sum(b.arithmetic for b in shapes(f, (1, 8, 8), 10)) for f in FAMILIES]
    assert costs[0] == min(costs)
    assert costs[-1] == max(costs)
    sizes = [parameters(f, (1, 8, 8), 10) for f in FAMILIES]
    assert sizes[1:] == sorted(sizes[1:])


def test_training_memory_grows_with_batch_and_image() -> None:
    small = training_bytes("wide", (1, 8, 8), 10, 16)
    assert training_bytes("wide", (1, 8, 8), 10, 32) > small
    assert training_bytes("wide", (3, 512, 512), 10, 16) > 1000 * small
