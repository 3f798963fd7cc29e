"""Put one language model on what a client or a test needs of it, again and again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from harness.workloads.lora.aggregation.adapters import Adapter, LowRank, Shapes
from harness.workloads.lora.data.rows import Batch
from harness.workloads.lora.rules import Fitting, Trained
from models.lora.adapted import AdaptedLinear


class TunableModel(ABC):
    """Hold a model whose layers wear adapters; the base's own weights can always be got back."""

    net: nn.Module
    scale: float

    def __init__(
        self, net: nn.Module, scale: float, reload: Callable[[], Mapping[str, Tensor]]
    ) -> None:
        """Hold the net; `reload` gives the base's weights anew, once all of them were trained."""
        self.net = net
        self.scale = scale
        self._reload = reload
        self._kept: dict[str, Tensor] = {}
        self._replaced = False

    @abstractmethod
    def weight(self, layer: str) -> Tensor:
        """Return a layer's own weight, outputs × inputs, as a view."""

    @abstractmethod
    def layers(self) -> list[str]:
        """Return the names of the layers that wear adapters."""

    @abstractmethod
    def wear(self, adapter: Adapter) -> None:
        """Put an adapter on, or all off if it is empty."""

    @abstractmethod
    def worn(self) -> dict[str, tuple[nn.Parameter, nn.Parameter]]:
        """Return the parameters of the adapter that is worn."""

    @abstractmethod
    def own_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters of the base by name."""

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """Return rows × tokens × vocabulary."""

    @property
    @abstractmethod
    def vocabulary(self) -> int:
        """Return how many logits a token has."""

    @property
    def shapes(self) -> Shapes:
        """Return outputs and inputs of the layers that wear adapters."""
        return {name: (s[0], s[1]) for name in self.layers() for s in (self.weight(name).shape,)}

    @torch.no_grad()
    def fit(self, fitting: Fitting) -> None:
        """Become the base with what is to be added, wearing what is to be worn.

        A stack is added in place, without a dense product of it.
        """
        if fitting.weights or self._replaced:
            self._kept.clear()  # of other weights: what a method before this one added something to
            _load(self.own_parameters(), fitting.weights or self._reload())
            self._replaced = bool(fitting.weights)
        changed = {*fitting.deltas, *fitting.stack}
        for name in [name for name in self._kept if name not in changed]:
            self.weight(name).copy_(self._kept[name])
        for name in changed:
            weight = self.weight(name)
            if name not in self._kept:
                self._kept[name] = weight.clone()
            kept = self._kept[name]
            if name in fitting.deltas:
                torch.add(kept, fitting.deltas[name], out=weight)
            else:
                weight.copy_(kept)
            if name in fitting.stack:
                weight.addmm_(fitting.stack[name].b, fitting.stack[name].a)
        self.wear(fitting.worn)

    def parameters(self, trained: Trained) -> list[nn.Parameter]:
        """Return what is trained, and let gradients reach nothing else."""
        own = self.own_parameters()
        for parameter in own.values():
            parameter.requires_grad_(trained == "all")
        if trained == "all":
            return list(own.values())
        found = []
        for a, b in self.worn().values():
            a.requires_grad_(trained == "both")
            b.requires_grad_(True)
            found += [a, b] if trained == "both" else [b]
        return found

    def trained(self, trained: Trained) -> dict[str, Tensor]:
        """Return what was trained, by the names that travel."""
        if trained == "all":
            return {name: p.detach() for name, p in self.own_parameters().items()}
        found: dict[str, Tensor] = {}
        for name, (a, b) in self.worn().items():
            found[f"a/{name}"], found[f"b/{name}"] = a.detach(), b.detach()
        return found

    @property
    def base_parameters(self) -> int:
        """Return how many numbers the base has."""
        return sum(p.numel() for p in self.own_parameters().values())


def _load(parameters: Mapping[str, nn.Parameter], weights: Mapping[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])


class TunableDecoder(TunableModel):
    """Hold the embedded model, whose layers are our own."""

    def __init__(
        self,
        net: nn.Module,
        scale: float,
        targets: tuple[str, ...],
        reload: Callable[[], Mapping[str, Tensor]],
    ) -> None:
        super().__init__(net, scale, reload)
        self._layers = {
            name: module
            for name, module in net.named_modules()
            if isinstance(module, AdaptedLinear) and name.rpartition(".")[2] in targets
        }

    def weight(self, layer: str) -> Tensor:
        """Return a layer's weight."""
        return self._layers[layer].weight.data

    def layers(self) -> list[str]:
        """Return the names of the layers that wear adapters."""
        return list(self._layers)

    def wear(self, adapter: Adapter) -> None:
        """Put an adapter on, or all off if it is empty."""
        for name, layer in self._layers.items():
            if name in adapter:
                layer.wear(adapter[name].a, adapter[name].b, self.scale)
            else:
                layer.take_off()

    def worn(self) -> dict[str, tuple[nn.Parameter, nn.Parameter]]:
        """Return the parameters of the adapter that is worn."""
        return {
            name: (layer.a, layer.b)
            for name, layer in self._layers.items()
            if layer.a is not None and layer.b is not None
        }

    @property
    def vocabulary(self) -> int:
        """Return how many logits a token has."""
        net: Any = self.net
        return int(net.shape.vocabulary)

    def own_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters of the base by name."""
        return {
            name: parameter
            for name, parameter in self.net.named_parameters()
            if name.rpartition(".")[2] not in ("a", "b")
        }

    def logits(self, batch: Batch) -> Tensor:
        """Return logits; padding stands behind, where a causal model does not look."""
        found: Tensor = self.net(batch.inputs)
        return found


def factors_of(worn: Mapping[str, tuple[nn.Parameter, nn.Parameter]]) -> dict[str, LowRank]:
    """Return worn parameters as factors."""
    return {name: LowRank(a.detach(), b.detach()) for name, (a, b) in worn.items()}
