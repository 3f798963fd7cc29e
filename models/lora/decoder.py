"""Build the embedded language model: a small decoder-only transformer (pre-norm, learnt places)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from torch import Tensor, nn

from models.lora.adapted import AdaptedLinear

TARGETS = ("q", "k", "v", "o", "up", "down")
"""Linear layers of a block, which can wear adapters."""


@dataclass(frozen=True)
class DecoderShape:
    """Hold the sizes of a decoder."""

    vocabulary: int
    width: int = 64
    depth: int = 3
    heads: int = 4
    context: int = 40

    def as_metadata(self) -> dict[str, str]:
        """Return the sizes as metadata of a file: one entry, as several have no fixed order."""
        return {"shape": json.dumps(asdict(self))}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> DecoderShape:
        """Read what `as_metadata` wrote.

        Raises:
            KeyError, TypeError, ValueError: if it is no such metadata.
        """
        told = json.loads(metadata["shape"])
        return cls(**{name: int(told[name]) for name in cls.__dataclass_fields__})


class DecoderBlock(nn.Module):
    """Attend to what came before, then think about it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (AdaptedLinear(width, width) for _ in range(4))
        self.up, self.down = AdaptedLinear(width, 4 * width), AdaptedLinear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return rows × tokens × width."""
        rows, tokens, width = x.shape
        h = self.before_attention(x)
        q, k, v = (
            layer(h).view(rows, tokens, self.heads, -1).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(seen.transpose(1, 2).reshape(rows, tokens, width))
        out: Tensor = x + self.down(F.gelu(self.up(self.before_mlp(x))))
        return out


class DecoderNet(nn.Module):
    """Predict the next token; input and output embeddings are one matrix."""

    def __init__(self, shape: DecoderShape, seed: int = 0) -> None:
        """Draw weights of variance 1/inputs; what ends a branch begins at 0.3 of that."""
        super().__init__()
        self.shape = shape
        self.token = nn.Embedding(shape.vocabulary, shape.width)
        self.place = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(
            DecoderBlock(shape.width, shape.heads) for _ in range(shape.depth)
        )
        self.norm = nn.LayerNorm(shape.width)
        self._draw(torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def _draw(self, random: torch.Generator) -> None:
        for table in (self.token, self.place):
            table.weight.normal_(std=0.02, generator=random)
        for name, layer in self.named_modules():
            if isinstance(layer, AdaptedLinear):
                damped = 0.3 if name.endswith((".o", ".down")) else 1.0
                inputs = layer.weight.shape[1]
                layer.weight.normal_(std=damped * inputs**-0.5, generator=random)

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits of rows × tokens × vocabulary for ids of rows × tokens."""
        h = self.token(ids) + self.place.weight[: ids.shape[1]]
        for block in self.blocks:
            h = block(h)
        return F.linear(self.norm(h), self.token.weight)
