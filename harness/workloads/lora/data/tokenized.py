"""Turn generated rows, or those of a file, into the ids of a model's tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.core.errors import DataError
from harness.federated.random_streams import random_stream
from harness.workloads.lora.base.opening import OpenedModel, dealing
from harness.workloads.lora.base.tokenizer import Tokenizer
from harness.workloads.lora.base.tunable_folder import TunableFolder
from harness.workloads.lora.config import LETTERS, LoraConfig
from harness.workloads.lora.data.corpus import FILE_TEXT, Choice, ClientRows, Corpus
from harness.workloads.lora.data.generated import deal
from harness.workloads.lora.data.instructions import (
    TextRow,
    prompt_of,
    read_choices,
    read_instructions,
)
from harness.workloads.lora.data.letters import words_of
from harness.workloads.lora.data.rows import Row
from harness.workloads.lora.data.splitting import deal_out

WORLD_SHARE = 10
"""One row in so many is nobody's and tests all."""

HELD_SHARE = 8
"""One row in so many of a client is kept back."""

SENTENCES = 32
"""Generated sentences that tell what a larger model forgets."""

TEXT_TOKENS = 128
"""Of a piece of the text that tells what is forgotten."""


@dataclass
class Encoder:
    """Encode text within a context, and count what had to be cut."""

    tokenizer: Tokenizer
    context: int
    truncated: int = field(default=0)
    dropped: int = field(default=0)

    def row(self, text: TextRow) -> Row | None:
        """Return a row; a prompt that is too long loses its beginning, never an answer its end.

        None if the answer alone is too long.
        """
        prompt = self.tokenizer.ids(text.prompt) or [self.tokenizer.eos]
        answer = [*self.tokenizer.ids(text.answer), self.tokenizer.eos]
        room = self.context - len(answer)
        if room < 1:
            self.dropped += 1
            return None
        if len(prompt) > room:
            self.truncated += 1
            prompt = prompt[-room:]
        return Row(tuple(prompt), tuple(answer), text.kind)

    def rows(self, texts: Sequence[TextRow]) -> list[Row]:
        """Return the rows that fit."""
        return [row for text in texts if (row := self.row(text)) is not None]

    def said(self) -> list[str]:
        """Say what was cut or left out."""
        found = []
        if self.truncated:
            found.append(f"{self.truncated} prompts were longer than {self.context} tokens with"
                         " their answer: they lost their beginning")  # fmt: skip
        if self.dropped:
            found.append(f"{self.dropped} answers alone were longer than {self.context} tokens:"
                         " these rows were left out")  # fmt: skip
        return found


def tokenized(config: LoraConfig, opened: OpenedModel) -> Corpus:
    """Return the rows of a configuration in the ids of the model's own tokenizer.

    Raises:
        DataError: if a file cannot be read.
    """
    model = opened.model
    assert isinstance(model, TunableFolder)
    encoder = Encoder(model.tokenizer, opened.context)
    if config.data == LETTERS:
        found = deal(dealing(config), _rewriting(encoder), model.tokenizer.pad)
        found = replace(found, text=found.text[:SENTENCES])
    else:
        found = _of_file(config, encoder, model.tokenizer.pad)
    if config.text:
        found = replace(found, text=_pieces(Path(config.text), encoder))
    if config.choices_file:
        found = replace(found, choices=_choices(Path(config.choices_file), encoder))
    return replace(found, truncated=encoder.truncated, notes=encoder.said())


def _rewriting(encoder: Encoder) -> Callable[[Row], Row]:
    def rewrite(row: Row) -> Row:
        asked, answer = words_of(row.prompt), words_of(row.answer[:-1])
        prompt = asked if row.kind == "sentence" else prompt_of(asked.removesuffix(" ="))
        text = TextRow(prompt, (" " if row.kind == "sentence" else "") + answer, row.kind)
        found = encoder.row(text)
        if found is None:
            raise DataError(
                f"a context of {encoder.context} tokens is too short for generated rows",
                "Raise --context.",
            )
        return found

    return rewrite


def _of_file(config: LoraConfig, encoder: Encoder, pad: int) -> Corpus:
    path = Path(config.data).expanduser()
    rows = encoder.rows(read_instructions(path))
    random = random_stream(config.data_seed, "file")
    drawn = [rows[i] for i in random.permutation(len(rows))]
    whole = max(1, len(drawn) // WORLD_SHARE)
    world, owned = drawn[:whole], drawn[whole:]
    evenness = config.dirichlet if config.split == "category" else None
    dealt = deal_out([row.kind for row in owned], config.clients, evenness, random)
    clients = [_kept_back([owned[i] for i in own]) for own in dealt]
    text = encoder.rows([TextRow("The", _SENTENCE)])
    return Corpus(path.name, clients, _by_kind(world, config.test_rows), text, pad)


_SENTENCE = (
    " sun rises in the east and sets in the west. Water boils at a lower temperature in the"
    " mountains than at the sea."
)
"""What is forgotten of English is told by this, unless --text names more."""


def _kept_back(rows: Sequence[Row]) -> ClientRows:
    held = max(1, len(rows) // HELD_SHARE) if len(rows) > 1 else 0
    return ClientRows(rows[held:], rows[:held])


def _by_kind(rows: Sequence[Row], most: int) -> Mapping[str, Sequence[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        own = found.setdefault(row.kind or "all", [])
        if len(own) < most:
            own.append(row)
    return found


def _pieces(path: Path, encoder: Encoder) -> list[Row]:
    """Return a text in pieces, each learnt but for its first token."""
    try:
        ids = encoder.tokenizer.ids(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", "Name a text file.") from None
    size = min(TEXT_TOKENS, encoder.context)
    found = [
        Row((ids[start],), tuple(ids[start + 1 : start + size]), FILE_TEXT)
        for start in range(0, len(ids) - 1, size)
    ]
    if not found:
        raise DataError(f"{path} holds no text", "Name a text file.")
    return found


def _choices(path: Path, encoder: Encoder) -> list[Choice]:
    found = []
    for choice in read_choices(path.expanduser()):
        rows = encoder.rows([TextRow(choice.prompt, answer) for answer in choice.answers])
        if len(rows) == len(choice.answers):
            found.append(Choice(rows, choice.right))
    if not found:
        raise DataError(
            f"{path}: no question fits a context of {encoder.context} tokens", "Raise --context."
        )
    return found
