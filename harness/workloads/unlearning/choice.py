"""Choose who asks to be forgotten, and say which requests can be answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core.errors import DataUsageError
from harness.federated.random_streams import random_stream
from harness.workloads.unlearning.data.interactions import Interactions

KINDS = ("random", "core", "edge")
BATCH = "batch"
STREAM = "stream"


@dataclass(frozen=True)
class Request:
    """Hold one request: its users, and why it is refused, if it is.

    `number` counts within its scenario, from 0.
    """

    scenario: str
    number: int
    users: tuple[int, ...]
    refusal: str = ""

    @property
    def job(self) -> str:
        """Return what the job that answers it is called."""
        return f"{self.scenario}-{self.number + 1}"


@dataclass(frozen=True)
class Scenario:
    """Hold requests that come one after another to a model as prepared."""

    name: str
    requests: Sequence[Request]

    @property
    def answered(self) -> list[Request]:
        """Return the requests that are not refused."""
        return [request for request in self.requests if not request.refusal]

    @property
    def users(self) -> tuple[int, ...]:
        """Return all who are forgotten in the end."""
        return tuple(sorted(user for request in self.answered for user in request.users))


@dataclass(frozen=True)
class Asked:
    """Say who asks and how: one batch of a share of all users, a stream of single ones, or both.

    Attributes:
        who: random, core, edge, or the path of a file with a request in each line.
        batch: whether there is a batch.
        share: of users in the batch.
        stream: requests in the stream; 0 for none.
    """

    who: str
    batch: bool
    share: float
    stream: int


def scenarios(asked: Asked, data: Interactions, seed: int, board: int = 0) -> list[Scenario]:
    """Return the scenarios of one seed; each board of a fleet takes the users after the last's.

    Raises:
        DataUsageError: if a request of the file cannot be meant, or nobody would be left to judge.
    """
    groups = (
        _from_file(asked, data) if asked.who not in KINDS else _chosen(asked, data, seed, board)
    )
    found = [Scenario(name, _numbered(name, requests, data.names)) for name, requests in groups]
    for scenario in found:
        _check_left(scenario, data)
    return found


def _chosen(
    asked: Asked, data: Interactions, seed: int, board: int
) -> Iterator[tuple[str, Sequence[tuple[int, ...]]]]:
    order = ordered(asked.who, data, seed)
    if asked.batch:
        size = batch_size(asked.share, data.user_count)
        yield BATCH, [tuple(sorted(_part(order, size, board)))]
    if asked.stream:
        if asked.stream > len(order):
            raise DataUsageError(
                f"--requests {asked.stream}: there are {len(order)} users", "Ask for fewer."
            )
        yield STREAM, [(user,) for user in _part(order, asked.stream, board)]


def _part(order: Sequence[int], size: int, board: int) -> list[int]:
    first = board * size
    return [order[(first + n) % len(order)] for n in range(size)]


def batch_size(share: float, users: int) -> int:
    """Return how many users a share is; at least one."""
    return max(1, int(users * share))


def ordered(who: str, data: Interactions, seed: int) -> list[int]:
    """Return all users, those first who ask first: most active, least active, or drawn."""
    if who == "random":
        drawn = random_stream(seed, "who leaves").permutation(data.user_count)
        return [int(user) for user in drawn]
    found = np.argsort(-data.train.counts, kind="stable")
    return [int(user) for user in (found if who == "core" else found[::-1])]


def _from_file(asked: Asked, data: Interactions) -> Iterator[tuple[str, Sequence[tuple[int, ...]]]]:
    lines = read_requests(Path(asked.who), {name: n for n, name in enumerate(data.names)})
    if asked.batch:
        everyone = [user for line in lines for user in line]
        yield BATCH, [tuple(sorted(set(everyone)))]
    if asked.stream:
        yield STREAM, lines[: asked.stream]


def read_requests(path: Path, known: Mapping[str, int]) -> list[tuple[int, ...]]:
    """Read a file of users, a request in each line; ids are those of the data.

    Raises:
        DataUsageError: naming file, line and user, if it cannot be read or a request cannot be
            meant: nobody in it, an unknown user, a user twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is no text"
        raise DataUsageError(
            f"--who {path}: {why}", f"Name a file, or one of {', '.join(KINDS)}."
        ) from None
    found = [
        _request(f"{path}, line {number}", line, known)
        for number, line in enumerate(text.splitlines(), 1)
        if not line.lstrip().startswith("#")
    ]
    if not found:
        raise DataUsageError(f"{path}: holds no request", "Write a request in each line.")
    return found


def _request(where: str, line: str, known: Mapping[str, int]) -> tuple[int, ...]:
    names = line.replace(",", " ").split()
    if not names:
        raise DataUsageError(f"{where}: an empty request", "Name users, or take the line out.")
    for name in names:
        if name not in known:
            raise DataUsageError(f"{where}: unknown user '{name}'", "Take the user out.")
        if names.count(name) > 1:
            raise DataUsageError(f"{where}: user '{name}' is named twice", "Name each user once.")
    return tuple(sorted(known[name] for name in names))


def _numbered(
    name: str, requests: Sequence[tuple[int, ...]], names: Sequence[str]
) -> list[Request]:
    """Number requests; one that names somebody who is gone by then is refused."""
    gone: set[int] = set()
    found = []
    for number, users in enumerate(requests):
        twice = sorted(gone & set(users))
        if twice:
            refusal = f"user {', '.join(names[user] for user in twice)} is already forgotten"
            found.append(Request(name, number, users, refusal))
            continue
        gone |= set(users)
        found.append(Request(name, number, users))
    return found


def _check_left(scenario: Scenario, data: Interactions) -> None:
    stay = np.setdiff1d(data.everyone, scenario.users)
    if not len(stay):
        raise DataUsageError(
            f"the {scenario.name} deletes all {data.user_count} users: nothing is left to judge",
            "Let somebody stay.",
        )
    if not data.held.counts[stay].any():
        raise DataUsageError(
            f"of the {len(stay)} users who stay after the {scenario.name} none has held-out items:"
            " nothing is left to judge",
            "Let others leave, or take other data.",
        )
