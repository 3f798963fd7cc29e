"""Deal instructions on letters to clients: each knows a few kinds, some have more rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.federated.random_streams import random_stream
from harness.workloads.lora.data.corpus import ClientRows, Corpus
from harness.workloads.lora.data.letters import PAD, WANTED, Instruction, sentence
from harness.workloads.lora.data.rows import Row

SIZES = (0.5, 1.0, 1.5)
"""Rows of clients in turn, relative to the middling one."""

SENTENCES = 200

Rewrite = Callable[[Row], Row]
"""Turns ids of the generated language into those of a model."""


@dataclass(frozen=True)
class Dealing:
    """Say how many clients there are, and what each gets.

    Attributes:
        clients: how many.
        rows: training rows of a middling client; a quarter more are held out.
        kinds: instructions that a client knows.
        test_rows: rows of every instruction that no client owns.
        seed: of who knows what, and of the rows.
    """

    clients: int = 6
    rows: int = 256
    kinds: int = 2
    test_rows: int = 128
    seed: int = 1


def deal(dealing: Dealing, rewrite: Rewrite = lambda row: row, pad: int = PAD) -> Corpus:
    """Return the rows of all clients; the same seed gives the same rows everywhere."""
    random = random_stream(dealing.seed, "deal")
    hands = [i % len(WANTED) for i in range(dealing.clients * dealing.kinds)]
    dealt = [hands[i] for i in random.permutation(len(hands))]
    seen: set[tuple[int, ...]] = set()
    hands_of = [
        [WANTED[i] for i in sorted(dealt[c * dealing.kinds : (c + 1) * dealing.kinds])]
        for c in range(dealing.clients)
    ]
    trained = [
        _hand(dealing, client, kinds, "train", seen) for client, kinds in enumerate(hands_of)
    ]
    held = [
        _hand(dealing, client, kinds, "held out", seen, 0.25)
        for client, kinds in enumerate(hands_of)
    ]
    world = {
        kind.name: _rows(kind, dealing.test_rows, (dealing.seed, "world"), seen) for kind in WANTED
    }
    clients = [
        ClientRows([*map(rewrite, own)], [*map(rewrite, back)])
        for own, back in zip(trained, held, strict=True)
    ]
    world = {name: [*map(rewrite, rows)] for name, rows in world.items()}
    told = random_stream(dealing.seed, "sentences")
    text = [rewrite(sentence(told)) for _ in range(SENTENCES)]
    return Corpus("letters", clients, world, text, pad)


def _hand(
    dealing: Dealing,
    client: int,
    kinds: Sequence[Instruction],
    what: str,
    seen: set[tuple[int, ...]],
    share: float = 1.0,
) -> list[Row]:
    """Return a client's rows of its kinds, alike many of each."""
    rows = dealing.rows * SIZES[client % len(SIZES)] * share
    each = max(1, int(rows / len(kinds)))
    found: list[Row] = []
    for place, kind in enumerate(kinds):
        found += _rows(kind, each, (dealing.seed, what, client, place), seen)
    return found


def _rows(
    kind: Instruction, count: int, names: tuple[object, ...], seen: set[tuple[int, ...]]
) -> list[Row]:
    """Return rows none of which is in `seen`, and add them to it: training rows may be alike."""
    random = random_stream(int(str(names[0])), *names[1:], kind.name)
    trains = names[1] == "train"
    found: list[Row] = []
    while len(found) < count:
        row = kind.row(random)
        if trains or row.prompt not in seen:
            found.append(row)
            seen.add(row.prompt)
    return found
