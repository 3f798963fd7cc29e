"""Open a language model of a folder through transformers, and its adapters through peft.

Nothing is ever fetched, no pickle is read, no code of a folder is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from harness.workloads.lora.base.architecture import configuration, context_of, target_names
from harness.workloads.lora.base.libraries import read_by
from harness.workloads.lora.base.model_files import checksum, find_model_files
from harness.workloads.lora.base.opening import OpenedModel
from harness.workloads.lora.base.tokenizer import Tokenizer
from harness.workloads.lora.base.tunable_folder import TunableFolder
from harness.workloads.lora.config import LoraConfig


def open_folder(config: LoraConfig) -> OpenedModel:
    """Open the model of a folder with its tokenizer.

    Raises:
        HarnessError: if libraries or files are missing, or do not fit one another.
    """
    files = find_model_files(config.model)
    told = configuration(files)

    def load() -> nn.Module:
        from transformers import AutoModelForCausalLM  # noqa: PLC0415 - extra lm

        safely = {} if files.gguf else {"use_safetensors": True}
        net: nn.Module = AutoModelForCausalLM.from_pretrained(
            files.folder, dtype=torch.float32, **safely, **files.words
        )
        return net

    net = read_by(files, "weights", load)
    net.eval()

    def words() -> Any:  # noqa: ANN401 - theirs
        from transformers import AutoTokenizer  # noqa: PLC0415 - extra lm

        return AutoTokenizer.from_pretrained(files.folder, **files.words)

    read = read_by(files, "tokenizer", words)
    tokenizer = Tokenizer(read, _vocabulary(net), files)
    targets = target_names(net, config.targets)
    if config.gradient_checkpointing:
        _checkpoint(net)

    def anew() -> Mapping[str, Tensor]:
        return {name: p.detach() for name, p in read_by(files, "weights", load).named_parameters()}

    model = TunableFolder(net, config.scale, targets, tokenizer, anew)
    notes = ["batches are filled with the end of text"] if tokenizer.pads_with_eos else []
    return OpenedModel(model, checksum(files), context_of(config, told), targets, notes)


def _vocabulary(net: Any) -> int:  # noqa: ANN401 - theirs
    return int(net.get_input_embeddings().weight.shape[0])


def _checkpoint(net: Any) -> None:  # noqa: ANN401 - theirs
    net.gradient_checkpointing_enable()
    net.enable_input_require_grads()
