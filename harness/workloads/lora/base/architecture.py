"""Tell the layers, sizes and context of a model of a folder before its weights are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.errors import UsageError, unknown
from harness.workloads.lora.base.forecast import Sizes
from harness.workloads.lora.base.libraries import read_by
from harness.workloads.lora.base.model_files import ModelFiles, find_model_files
from harness.workloads.lora.config import LoraConfig

DEFAULT_TARGETS = (("q_proj", "v_proj"), ("c_attn",), ("query_key_value",))
USUAL_CONTEXT = 512


def configuration(files: ModelFiles) -> Any:  # noqa: ANN401 - theirs
    """Return the configuration of transformers that lies with a model.

    Raises:
        DataError: if the libraries cannot read it.
    """

    def read() -> Any:  # noqa: ANN401 - theirs
        from transformers import AutoConfig  # noqa: PLC0415 - extra lm

        return AutoConfig.from_pretrained(files.folder, **files.words)

    return read_by(files, "config", read)


def folder_sizes(config: LoraConfig) -> Sizes:
    """Return the sizes of a model from its configuration: an empty copy is built, without weights.

    Raises:
        HarnessError: as `find_model_files`, and if targets name no layer of it.
    """
    files = find_model_files(config.model)
    told = configuration(files)

    def empty() -> nn.Module:
        from transformers import AutoModelForCausalLM  # noqa: PLC0415 - extra lm

        with torch.device("meta"):
            model: nn.Module = AutoModelForCausalLM.from_config(told)
            return model

    net = read_by(files, "architecture", empty)
    names = target_names(net, config.targets)
    shapes = {
        name: _outputs_inputs(module)
        for name, module in linear_layers(net).items()
        if name.rpartition(".")[2] in names
    }
    text = told.get_text_config() if hasattr(told, "get_text_config") else told
    return Sizes(
        sum(p.numel() for p in net.parameters()), 4, shapes, int(text.vocab_size),
        int(text.hidden_size), int(text.num_hidden_layers), context_of(config, text),
        libraries=True,
    )  # fmt: skip


def context_of(config: LoraConfig, told: Any) -> int:  # noqa: ANN401 - theirs
    """Return the longest row in tokens.

    Raises:
        UsageError: if more is asked for than the model can.
    """
    can = int(getattr(told, "max_position_embeddings", 0) or USUAL_CONTEXT)
    if config.context > can:
        raise UsageError(
            f"--context {config.context} is longer than the model's {can} tokens",
            f"At most --context {can}.",
        )
    return config.context or min(can, USUAL_CONTEXT)


def linear_layers(net: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that can wear adapters, by name; the one that gives logits is none."""
    from transformers.pytorch_utils import Conv1D  # noqa: PLC0415 - extra lm

    return {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and name.rpartition(".")[2] != "lm_head"
    }


def _outputs_inputs(module: nn.Module) -> tuple[int, int]:
    weight = module.weight
    assert isinstance(weight, Tensor)
    first, second = weight.shape
    swapped = not isinstance(module, nn.Linear)  # GPT-2's Conv1D holds inputs × outputs
    return (int(second), int(first)) if swapped else (int(first), int(second))


def target_names(net: nn.Module, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the last names of the layers that wear adapters, as asked for or as is usual.

    Raises:
        UsageError: naming the nearest layer, or all there are if none has a usual name.
    """
    known = list(dict.fromkeys(name.rpartition(".")[2] for name in linear_layers(net)))
    for name in asked:
        if name not in known:
            raise unknown("target module", name, known)
    if asked:
        return tuple(asked)
    for names in DEFAULT_TARGETS:
        if set(names) <= set(known):
            return names
    raise UsageError(
        "the model has no layers of the usual names to wear adapters",
        f"--targets, of: {', '.join(known)}",
    )
