"""Open the model and the rows that a configuration names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from harness.core.errors import unknown
from harness.workloads.lora.base import embedded
from harness.workloads.lora.base.forecast import Sizes
from harness.workloads.lora.base.tunable import TunableDecoder, TunableModel
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.data.corpus import Corpus
from harness.workloads.lora.data.generated import Dealing, deal
from models.lora.decoder import TARGETS, DecoderNet


@dataclass(frozen=True)
class OpenedModel:
    """Hold a model ready to be tuned, what tells it from others, and how long a row may be."""

    model: TunableModel
    checksum: str
    context: int
    targets: Sequence[str]
    notes: Sequence[str] = ()


def open_model(config: LoraConfig) -> OpenedModel:
    """Open the model of a configuration.

    Raises:
        DataError: if its files are missing, damaged or of a kind that is not read.
        UsageError: if targets name no layer, or ranks do not fit.
    """
    if not config.embedded:
        from harness.workloads.lora.base.folder import open_folder  # noqa: PLC0415 - extra lm

        return open_folder(config)
    net = embedded.load()
    net.eval()
    targets = _targets(config.targets or TARGETS, TARGETS)
    model = TunableDecoder(net, config.scale, targets, _reloading(net))
    checksum = hashlib.sha256(embedded.FILE.read_bytes()).hexdigest()
    return OpenedModel(model, checksum, net.shape.context, targets)


def _reloading(net: DecoderNet) -> Callable[[], Mapping[str, Tensor]]:
    weights = {name: p.detach().clone() for name, p in net.named_parameters()}
    return lambda: weights


def _targets(asked: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    for name in asked:
        if name not in known:
            raise unknown("target module", name, known)
    return tuple(asked)


def embedded_sizes(config: LoraConfig) -> Sizes:
    """Return the sizes of the embedded model, for a forecast."""
    shape = embedded.load().shape
    shapes = {f"{i}.{t}": _shape(t, shape.width) for i in range(shape.depth)
              for t in (config.targets or TARGETS) if t in TARGETS}  # fmt: skip
    numbers = sum(p.numel() for p in DecoderNet(shape).parameters())
    return Sizes(numbers, 4, shapes, shape.vocabulary, shape.width, shape.depth, shape.context)


def _shape(target: str, width: int) -> tuple[int, int]:
    return {"up": (4 * width, width), "down": (width, 4 * width)}.get(target, (width, width))


def open_corpus(config: LoraConfig, opened: OpenedModel) -> Corpus:
    """Return the rows of a configuration, in the ids of its model.

    Raises:
        DataError: if they cannot be read, or a client has none.
    """
    if config.embedded:
        found = deal(dealing(config))
    else:
        from harness.workloads.lora.data.tokenized import tokenized  # noqa: PLC0415 - extra lm

        found = tokenized(config, opened)
    found.check()
    return found


def dealing(config: LoraConfig) -> Dealing:
    """Return how generated rows are dealt."""
    return Dealing(config.clients, config.rows, config.kinds, config.test_rows, config.data_seed)


def with_ranks(config: LoraConfig, ranks: Sequence[int]) -> LoraConfig:
    """Return a configuration in which every client has the rank that was settled for it."""
    return replace(config, ranks=",".join(map(str, ranks)))
