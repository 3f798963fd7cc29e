"""Hold what a federation learns from: every client's rows, and rows to judge by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.core.errors import DataError
from harness.workloads.lora.data.rows import Row

FILE_TEXT = "text"
"""Kind of the pieces of `--text`."""


@dataclass(frozen=True)
class ClientRows:
    """Hold one client's rows: those it trains on, and those kept back."""

    train: Sequence[Row]
    held_out: Sequence[Row]


@dataclass(frozen=True)
class Choice:
    """Hold a question with several answers, one of which is right."""

    rows: Sequence[Row]
    right: int


@dataclass(frozen=True)
class Corpus:
    """Hold all rows of a run.

    Attributes:
        name: of the data.
        clients: rows by client.
        world: rows of every kind that no client owns.
        text: rows of what the base knew before, to see what it forgets.
        choices: multiple-choice questions, if a file was given.
        pad: id that fills batches.
        truncated: rows that were cut to the model's context.
    """

    name: str
    clients: Sequence[ClientRows]
    world: Mapping[str, Sequence[Row]]
    text: Sequence[Row]
    pad: int
    choices: Sequence[Choice] = ()
    truncated: int = 0
    notes: Sequence[str] = field(default_factory=list)

    def check(self) -> None:
        """Do nothing if every client can train and be judged.

        Raises:
            DataError: naming the client that has no rows.
        """
        for number, client in enumerate(self.clients):
            if not client.train or not client.held_out:
                raise DataError(
                    f"client {number} of {self.name} has {len(client.train)} rows to train on and"
                    f" {len(client.held_out)} to judge by",
                    "Lower --clients, raise --dirichlet, or give more rows.",
                )

    def weight(self, client: int) -> int:
        """Return the number of a client's training rows."""
        return len(self.clients[client].train)

    @property
    def checksum(self) -> str:
        """Return what tells these rows from others."""
        found = hashlib.sha256()
        for client in self.clients:
            for rows in (client.train, client.held_out):
                found.update(json.dumps([[r.prompt, r.answer] for r in rows]).encode())
        for kind in sorted(self.world):
            found.update(json.dumps([[r.prompt, r.answer] for r in self.world[kind]]).encode())
        if self.text and self.text[0].kind == FILE_TEXT:
            found.update(json.dumps([[r.prompt, r.answer] for r in self.text]).encode())
        for choice in self.choices:
            told = [[r.prompt, r.answer] for r in choice.rows]
            found.update(json.dumps([told, choice.right]).encode())
        return found.hexdigest()
