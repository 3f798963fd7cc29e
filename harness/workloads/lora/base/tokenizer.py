"""Turn text into the ids of a folder's own tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.core.errors import DataError
from harness.workloads.lora.base.model_files import ModelFiles


class Tokenizer:
    """Turn text into ids; fills batches with the end of text where a model has no pad."""

    def __init__(self, tokenizer: Any, rows: int, files: ModelFiles) -> None:  # noqa: ANN401 - theirs
        """Check that it fits an embedding of so many rows."""
        if len(tokenizer) > rows:
            raise DataError(
                f"{files.folder}: its tokenizer knows {len(tokenizer)} tokens, its model {rows}",
                "Put the model's own tokenizer there.",
            )
        if tokenizer.eos_token_id is None:
            raise DataError(
                f"{files.folder}: its tokenizer has no end of text", "Set eos_token in it."
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
