"""Wear peft's adapters on a model of transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from harness.workloads.lora.aggregation.adapters import Adapter, rank_of
from harness.workloads.lora.base.architecture import linear_layers
from harness.workloads.lora.base.libraries import quiet
from harness.workloads.lora.base.tokenizer import Tokenizer
from harness.workloads.lora.base.tunable import TunableModel
from harness.workloads.lora.data.rows import Batch


class TunableFolder(TunableModel):
    """Hold a model of transformers whose adapters are peft's, one for each rank in use."""

    def __init__(
        self,
        net: nn.Module,
        scale: float,
        targets: Sequence[str],
        tokenizer: Tokenizer,
        reload: Callable[[], Mapping[str, Tensor]],
    ) -> None:
        super().__init__(net, scale, reload)
        self.tokenizer = tokenizer
        self._names = [n for n in linear_layers(net) if n.rpartition(".")[2] in targets]
        self._own = dict(net.named_parameters())
        self._targets = list(targets)
        self._wrapped: Any = None
        self._modules: dict[str, Any] = {}
        self._adapter = ""

    def layers(self) -> list[str]:
        """Return the names of the layers that wear adapters."""
        return self._names

    def weight(self, layer: str) -> Tensor:
        """Return a layer's own weight as outputs × inputs."""
        weight = self._own[f"{layer}.weight"].data
        module: Any = self._modules.get(layer) or self.net.get_submodule(layer)
        plain = module.get_base_layer() if hasattr(module, "get_base_layer") else module
        return weight if isinstance(plain, nn.Linear) else weight.T

    def wear(self, adapter: Adapter) -> None:
        """Put an adapter on, or all off if it is empty."""
        if not adapter:
            if self._wrapped is not None:
                self._wrapped.base_model.disable_adapter_layers()
            self._adapter = ""
            return
        self._put_on(rank_of(adapter))
        for name, (a, b) in adapter.items():
            module = self._modules[name]
            module.lora_A[self._adapter].weight.data.copy_(a)
            module.lora_B[self._adapter].weight.data.copy_(b)

    def _put_on(self, rank: int) -> None:
        """Choose peft's adapter of a rank, made when it is first asked for."""
        name = f"r{rank}"
        with quiet():
            self._choose(name, rank)
        self._adapter = name

    def _choose(self, name: str, rank: int) -> None:
        import peft  # noqa: PLC0415 - extra lm

        settings = peft.LoraConfig(
            r=rank, lora_alpha=self.scale * rank, target_modules=self._names, lora_dropout=0.0,
            task_type="CAUSAL_LM", fan_in_fan_out=self._swapped(),
        )  # fmt: skip
        if self._wrapped is None:
            self._wrapped = peft.get_peft_model(self.net, settings, adapter_name=name)
            # the same parameters under peft's names: what is under the old ones stays known here
            self._modules = {n: self.net.get_submodule(n) for n in self._names}
        elif name not in self._wrapped.peft_config:
            self._wrapped.add_adapter(name, settings)
        self._wrapped.base_model.enable_adapter_layers()
        self._wrapped.set_adapter(name)

    def _swapped(self) -> bool:
        first = self._names[0]
        module: Any = self._modules.get(first) or self.net.get_submodule(first)
        plain = module.get_base_layer() if hasattr(module, "get_base_layer") else module
        return not isinstance(plain, nn.Linear)

    def worn(self) -> dict[str, tuple[nn.Parameter, nn.Parameter]]:
        """Return the parameters of the adapter that is worn."""
        if not self._adapter:
            return {}
        return {
            name: (
                module.lora_A[self._adapter].weight,
                module.lora_B[self._adapter].weight,
            )
            for name, module in self._modules.items()
        }

    @property
    def vocabulary(self) -> int:
        """Return how many logits a token has."""
        net: Any = self.net
        return int(net.get_input_embeddings().weight.shape[0])

    def own_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters of the base by the names that its files have."""
        return self._own

    def logits(self, batch: Batch) -> Tensor:
        """Return logits; padding stands behind, where a causal model does not look."""
        found: Tensor = self.net(input_ids=batch.inputs, use_cache=False).logits
        return found
