"""Check the networks against the figures published for them."""

import pytest
import torch

from models.multitask.layer_work import layer_calls, multiply_accumulates
from models.multitask.network import build
from models.multitask.registry import MODELS, architecture


def _parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _buffers(module: torch.nn.Module) -> int:
    return sum(b.numel() for b in module.buffers())


def test_xception_has_the_published_parameters() -> None:
    """Encoder and decoders of 1, 2, 3 and 18 channels have the paper network's exact sizes."""
    net = build(architecture("xception"), "dcns", 0)

    assert _parameters(net.encoder) == 4_089_192
    assert [_parameters(d) for d in net.decoders.values()] == [115_808, 115_856, 115_904, 116_624]
    assert (_buffers(net.encoder), _buffers(net.decoders["d"])) == (13_668, 1_001)


@pytest.mark.parametrize(
    ("tasks", "parameters"), [("sdnkt", 4_669_144), ("erckt", 4_668_280), ("sdnkterca", 5_132_520)]
)
def test_xception_task_sets_have_the_published_size(tasks: str, parameters: int) -> None:
    """The merged networks of the paper's task sets have their published parameter counts."""
    assert _parameters(build(architecture("xception"), tasks, 0)) == parameters


def test_xception_has_the_published_multiply_accumulates() -> None:
    """One 256×256 image costs 3 702 947 840 multiply-accumulates in the merged sdnkt network."""
    net = build(architecture("xception"), "sdnkt", 0)

    assert multiply_accumulates(net, torch.zeros(1, 3, 256, 256)) == 3_702_947_840


@pytest.mark.parametrize("name", MODELS)
def test_outputs_have_the_shape_of_the_labels(name: str) -> None:
    """Every task's prediction has its channels at the size of the input; class scores of the small
    network are given for blocks of 2×2 pixels.
    """
    net = build(architecture(name), "sdn", 0).eval()

    shapes = {task: tuple(y.shape) for task, y in net(torch.zeros(2, 3, 64, 64)).items()}

    side = 32 if name.startswith("small") else 64
    assert shapes == {"s": (2, 18, side, side), "d": (2, 1, 64, 64), "n": (2, 3, 64, 64)}


@pytest.mark.parametrize("name", MODELS)
def test_a_part_starts_alike_in_every_group(name: str) -> None:
    """Encoder and decoder weights depend on the seed only, not on the other tasks or the order."""
    merged = build(architecture(name), "sdn", 3).state_dict()
    single = build(architecture(name), "d", 3).state_dict()
    other = build(architecture(name), "d", 4).state_dict()

    assert all(torch.equal(merged[key], value) for key, value in single.items())
    assert any(not torch.equal(single[key], value) for key, value in other.items())


def test_the_wide_small_network_is_half_as_wide_again() -> None:
    """Encoder: 3×3 of 5 to 36, 2×2 to 72 and to 144, four 3×3 of 144, each with a batch norm."""
    net = build(architecture("small-wide"), "sd", 0)
    widths = [(5, 36, 9), (36, 72, 4), (72, 144, 4), *[(144, 144, 9)] * 4]
    assert _parameters(net.encoder) == sum(a * b * taps + 2 * b for a, b, taps in widths)
    assert _parameters(build(architecture("small"), "s", 0).encoder) == 357_000
    net.eval()
    assert {t: o.shape[-1] for t, o in net(torch.rand(1, 3, 64, 64)).items()}.keys() == {"s", "d"}


def test_building_leaves_the_global_generator_alone() -> None:
    """Initialisation draws from a forked generator, so what follows is not shifted."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    build(architecture("small"), "sd", 0)

    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (torch.nn.Conv2d(2, 4, 3, padding=1), 64 * 4 * 9 * 2),
        (torch.nn.Conv2d(4, 4, 3, padding=1, groups=4), 64 * 4 * 9),
        (torch.nn.ConvTranspose2d(2, 4, 2, stride=2), 64 * 2 * 4 * 4),
        (torch.nn.BatchNorm2d(4), 0),
    ],
    ids=["dense", "depthwise", "transposed", "none"],
)
def test_work_of_a_known_layer_is_counted_exactly(layer, expected) -> None:
    """Outputs (of transposed convolutions: inputs) times the kernel times the channels in a sum."""
    channels = getattr(layer, "in_channels", 4)
    assert multiply_accumulates(layer, torch.zeros(5, channels, 8, 8)) == expected


def test_counting_work_changes_nothing() -> None:
    """Batch-norm statistics and the training mode survive being counted."""
    net = build(architecture("small"), "s", 0).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}

    layer_calls(net, torch.rand(2, 3, 64, 64))

    assert net.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
