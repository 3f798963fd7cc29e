"""Know the devices of a fleet, and say before the first round what is wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from devices.accelerator import GPU
from harness.core.errors import FleetError, HarnessError, RefusedError
from harness.fleet.clock import ClockBounds
from harness.fleet.strict import read_facts, read_value
from harness.records.step_checks import StepCheck


@dataclass(frozen=True)
class Card:
    """Hold what a device says of itself, and what the server knows of it.

    `node` is its number in the transport, which changes when its program starts anew; `session`
    names its worker, `prepared` what came of preparing the run, `steps` what came of comparing ways
    of executing steps with plain fp32 there. `launches` are its training steps by how they were
    launched, by worker, as each begins to count anew.
    """

    device: str
    node: int
    session: str
    partition: tuple[int, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    prepared: Mapping[str, Any] | None = None
    clock: ClockBounds = field(default_factory=ClockBounds)
    steps: tuple[StepCheck, ...] = ()
    launches: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    launch_faults: tuple[str, ...] = ()

    @property
    def trains(self) -> str:
        """Return in words what trains on it: its processor, or its GPU by name."""
        told = self.facts.get("accelerator") or {}
        return f"its {told.get('gpu') or 'GPU'}" if told.get("name") == GPU else PROCESSOR

    @property
    def trains_words(self) -> str:
        """Say what trains on it, and why if that may not be what people expect."""
        why = str((self.facts.get("accelerator") or {}).get("why") or "")
        said = self.trains != PROCESSOR or "cannot" in why
        return f"{self.trains} trains" + (f" ({why})" if said and why else "")

    @property
    def launched(self) -> dict[str, int]:
        """Return the training steps of all its workers by how they were launched."""
        counted: Counter[str] = sum(
            (Counter(found) for found in self.launches.values()), Counter[str]()
        )
        return dict(sorted(counted.items()))

    @property
    def versions(self) -> Mapping[str, Any]:
        """Return the versions of what the device computes with."""
        return dict(self.facts.get("versions") or {})


def read_card(node: int, header: Mapping[str, Any], clock: ClockBounds) -> Card:
    """Return the card in a device's first answer, whose report has been judged.

    Raises:
        RefusedError: if it is none.
    """
    facts = {key: read_value(hint, header.get(key), f"the {key}") for key, hint in FACTS.items()}
    facts |= {
        key: None if (value := header.get(key)) is None else read_facts(value, f"the {key}")
        for key in OBJECTS
    }
    _check_facts(facts)
    partition = read_value(tuple[int, ...], header.get("partition"), "the partition")
    if not partition or len(set(partition)) < len(partition):
        raise RefusedError("its partition is no list of distinct clients")
    return Card(header["device"], node, header["session"], partition, facts, None, clock)


def _check_facts(facts: Mapping[str, Any]) -> None:
    for key in OBJECTS:
        if not isinstance(facts[key], dict | type(None)):
            raise RefusedError(f"the {key} is no object")
    read_value(str, (facts["meter"] or {}).get("name", ""), "the meter's name")
    for key in ("name", "why"):
        read_value(str, (facts["accelerator"] or {}).get(key, ""), "what trains")
    clock = facts["clock"] or {}
    read_value(bool | None, clock.get("kept"), "the state of the clock")
    read_value(float | None, clock.get("most_error_s"), "the clock's error")


FACTS: Mapping[str, Any] = {
    "profile": str, "title": str, "matches": bool, "host": str, "threads": int,
    "profile_threads": int, "profile_batch": int, "meter_reason": str, "machine": str,
}  # fmt: skip
"""What a card says beside who it is, and `OBJECTS`."""

OBJECTS = ("meter", "versions", "clock", "accelerator")
"""What a card says in more than one word."""


PROCESSOR = "its processor"
SIMULATED = "simulated"
"""A meter that sees nothing real."""


class Roster:
    """Keep the cards by the devices' names; a device that comes back takes its old place."""

    def __init__(self) -> None:
        self._cards: dict[str, Card] = {}
        self._gone: set[int] = set()

    def cards(self) -> list[Card]:
        """Return all cards, by partition."""
        return sorted(self._cards.values(), key=lambda card: card.partition)

    def get(self, device: str) -> Card | None:
        """Return the card of a device."""
        return self._cards.get(device)

    def unknown(self, nodes: Iterable[int]) -> list[int]:
        """Return the nodes that have not said who they are, without those known to be old."""
        known = {card.node for card in self._cards.values()} | self._gone
        return sorted(set(nodes) - known)

    def put(self, card: Card) -> Card | None:
        """Take a card in; return the one it replaces, if there was one."""
        before = self._cards.get(card.device)
        if before is not None and before.node != card.node:
            self._gone.add(before.node)
        self._cards[card.device] = card
        return before

    def ignore(self, node: int) -> None:
        """Never ask this node again."""
        self._gone.add(node)

    def update(self, device: str, **changes: Any) -> Card:  # noqa: ANN401
        """Change fields of a card."""
        self._cards[device] = replace(self._cards[device], **changes)
        return self._cards[device]

    def holder(self, client: int) -> Card | None:
        """Return the device that holds the data of a client."""
        return next((c for c in self._cards.values() if client in c.partition), None)

    def clash(self, card: Card, is_there: Callable[[int], bool]) -> str:
        """Return in words what of a card contradicts another; empty if nothing does.

        A device that is no longer there may be replaced by another one.
        """
        for other in self._cards.values():
            if not is_there(other.node):
                continue
            shared = sorted(set(card.partition) & set(other.partition))
            same = other.device == card.device
            if shared and not same:
                return (
                    f"{card.device} and {other.device} both hold client"
                    f" {', '.join(map(str, shared))}"
                )
            if same and card.facts.get("machine") != other.facts.get("machine"):
                return f"two machines are called {card.device}"
            if same and card.partition != other.partition:
                return f"two nodes are called {card.device}"
        return ""


def problems(
    cards: Sequence[Card],
    clients: int,
    data: str,
    own: Mapping[str, Any],
    *,
    mixed: bool,
) -> list[HarnessError]:
    """Return what must not be before round 1: clients without a device, other data or versions.

    `own` are the server's versions. With `mixed` other versions of libraries are let pass, as the
    user asked for it.
    """
    found: list[HarnessError] = []
    held = {client for card in cards for client in card.partition}
    missing = [client for client in range(clients) if client not in held]
    if missing:
        text = f"no device holds the data of client {', '.join(map(str, missing))}"
        remedy = f"python -m harness.fleet node --server HOST --partition {missing[0]}"
        found.append(FleetError(text, f"On a board: {remedy}; or lower --clients."))
    for card in cards:
        told = (card.prepared or {}).get("data")
        if card.prepared is not None and told != data:
            text = f"{card.device} has other data: checksum {told}, the server's is {data}"
            found.append(FleetError(text, "Copy the data set, or remove it and let it be made."))
        if not mixed:
            found += _version_problems(card, own)
    return found


def other_versions(card: Card, own: Mapping[str, Any]) -> list[str]:
    """Return in words which versions of a device are not the server's."""
    return [
        f"{name} {card.versions.get(name) or 'unknown'} (server: {version or 'unknown'})"
        for name, version in own.items()
        if card.versions.get(name) != version
    ]


def _version_problems(card: Card, own: Mapping[str, Any]) -> list[HarnessError]:
    other = other_versions(card, own)
    if not other:
        return []
    text = f"{card.device} runs another version: {', '.join(other)}"
    remedy = "Install the same release, or type --allow-mixed to go on; it is recorded."
    return [FleetError(text, remedy)]


def share_a_meter(cards: Sequence[Card]) -> list[list[str]]:
    """Return the devices that are one machine, whose meters see each other's work too."""
    machines: dict[str, list[str]] = {}
    for card in cards:
        meter = card.facts.get("meter") or {}
        if card.facts.get("machine") and meter and meter.get("name", "").split(":")[0] != SIMULATED:
            machines.setdefault(str(card.facts["machine"]), []).append(card.device)
    return [devices for devices in machines.values() if len(devices) > 1]


def clock_notes(cards: Sequence[Card], sample_s: float) -> list[str]:
    """Return in words whose clock is off, or may be, by more than a sample of the meters."""
    return [note for card in cards if (note := _clock_note(card, sample_s))]


def _clock_note(card: Card, sample_s: float) -> str:
    off_s = card.clock.certain_s
    if off_s > sample_s:
        return (
            f"the clock of {card.device} is off by at least {off_s:.2f} s, more than a sample"
            f" ({sample_s:.2f} s): its place in the timeline is shifted, its joules are not"
        )
    told = card.facts.get("clock") or {}
    error_s = told.get("most_error_s")
    if card.clock.width_s <= sample_s or (told.get("kept") and (error_s or 0.0) <= sample_s):
        return ""
    why = "no time server keeps it" if told.get("kept") is False else "nothing bounds it better"
    if told.get("kept") and error_s:
        why = f"its time server allows {error_s:.2f} s"
    return (
        f"the clock of {card.device} is known to ±{card.clock.width_s / 2:.2f} s only, more than a"
        f" sample ({sample_s:.2f} s): {why}"
    )
