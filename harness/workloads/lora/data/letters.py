"""Speak the generated language: sentences and letter instructions that a small model can learn.

The base model is taught `TAUGHT`; clients want `WANTED`, which it gets wrong: new wordings of new
functions on words of random letters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.workloads.lora.data.rows import Row

LETTERS = "abcdefghijklmnop"
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
WORDS = (
    "<pad>", "<eos>", "=", ":", ".", "copy", "reverse", "next", "first", "last", "double", "rotate",
    "swap", "ends", "drop", "all", "the", "letters", "of", "letter", "and", "then", "count", "give",
    "me", "take", "say", "mirror", "back", "forward", "pairs", "every", "second", "before", "after",
    "twice", "vowels", "marked", "only", "middle", "left", "right", "small", "big", "red", "blue",
    "old", "cat", "dog", "bird", "fish", "girl", "boy", "sees", "likes", "finds", "carries", "ball",
    "box", "tree", "stone", "near", "under", "behind", "quickly", "slowly", "today",
)  # fmt: skip
VOCABULARY = (*WORDS, *NUMBERS, *LETTERS)
ID = {word: place for place, word in enumerate(VOCABULARY)}
PAD, EOS = ID["<pad>"], ID["<eos>"]
LONGEST = 18
"""Tokens of the longest row of any instruction."""


@dataclass(frozen=True)
class Instruction:
    """Hold a function of a word, and how it is asked for."""

    name: str
    wordings: tuple[str, ...]
    function: Callable[[str], Sequence[str]]

    def row(self, random: np.random.Generator) -> Row:
        """Return a prompt and the right answer for a random word of three to five letters."""
        size = int(random.integers(3, 6))
        word = "".join(LETTERS[i] for i in random.integers(0, len(LETTERS), size))
        wording = self.wordings[int(random.integers(0, len(self.wordings)))]
        prompt = [*wording.split(), ":", *word, "="]
        answer = [*self.function(word), "<eos>"]
        return Row(tuple(ID[t] for t in prompt), tuple(ID[t] for t in answer), self.name)


def _shifted(word: str) -> str:
    return "".join(LETTERS[(LETTERS.index(c) + 1) % len(LETTERS)] for c in word)


def _pairs_swapped(word: str) -> str:
    return "".join(word[i : i + 2][::-1] for i in range(0, len(word), 2))


TAUGHT = (
    Instruction("copy", ("copy the letters", "say"), lambda w: w),
    Instruction("reverse", ("reverse the letters", "say back"), lambda w: w[::-1]),
    Instruction("next", ("next letters of", "letters after"), _shifted),
    Instruction("first", ("first letter of", "take the first"), lambda w: w[0]),
    Instruction("last", ("last letter of", "take the last"), lambda w: w[-1]),
    Instruction("double", ("double all letters", "say twice"), lambda w: "".join(c * 2 for c in w)),
    Instruction("rotate", ("rotate left", "drop the first and say"), lambda w: w[1:] + w[0]),
    Instruction("drop", ("drop the last", "all letters before the last"), lambda w: w[:-1]),
    Instruction(
        "swap-ends",
        ("swap the ends", "swap first and last"),
        lambda w: w[-1] + w[1:-1] + w[0],
    ),
    Instruction("count", ("count the letters", "count all"), lambda w: (NUMBERS[len(w) - 1],)),
)

WANTED = (
    Instruction("give-back", ("give back the letters",), lambda w: w[::-1]),
    Instruction("every-second", ("every second letter",), lambda w: w[::2]),
    Instruction("swap-pairs", ("swap pairs",), _pairs_swapped),
    Instruction("rotate-right", ("rotate right",), lambda w: w[-1] + w[:-1]),
    Instruction("double-ends", ("double the ends",), lambda w: w[0] + w + w[-1]),
    Instruction("drop-ends", ("drop the ends",), lambda w: w[1:-1]),
)

_SENTENCE: Mapping[str, tuple[str, ...]] = {
    "size": ("small", "big", "red", "blue", "old"),
    "who": ("cat", "dog", "bird", "fish", "girl", "boy"),
    "does": ("sees", "likes", "finds", "carries"),
    "what": ("ball", "box", "tree", "stone"),
    "where": ("near", "under", "behind"),
    "how": ("quickly", "slowly", "today"),
}


def sentence(random: np.random.Generator) -> Row:
    """Return a sentence of the language, its first word the prompt."""

    def pick(kind: str) -> str:
        words = _SENTENCE[kind]
        return words[int(random.integers(0, len(words)))]

    said = ["the", pick("size"), pick("who"), pick("does"), "the", pick("what")]
    if random.random() < 0.5:
        said += [pick("where"), "the", pick("what")]
    said += [pick("how"), ".", "<eos>"]
    ids = [ID[word] for word in said]
    return Row((ids[0],), tuple(ids[1:]), "sentence")


def words_of(ids: Sequence[int]) -> str:
    """Return ids as people read them."""
    return " ".join(VOCABULARY[i] for i in ids)
