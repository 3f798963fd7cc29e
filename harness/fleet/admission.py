"""Decide who takes part: meet nodes, let them prepare, refuse by name what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.core.errors import FleetError, HarnessError, MemoryExceededError
from harness.fleet.clock import ClockBounds
from harness.fleet.preparation import read_prepared
from harness.fleet.reports import most_power_w
from harness.fleet.roster import (
    Card,
    Roster,
    clock_notes,
    other_versions,
    problems,
    read_card,
    share_a_meter,
)
from harness.fleet.settings import FleetSettings
from harness.records.step_checks import passed_words


class Admission:
    """Keep the roster, and what was refused and why."""

    def __init__(self, settings: FleetSettings, is_there: Callable[[int], bool]) -> None:
        self._settings = settings
        self._is_there = is_there
        self._refused: dict[str, HarnessError] = {}
        self._clashes: list[HarnessError] = []
        self._lost: set[str] = set()
        self._trains: dict[str, str] = {}
        self.roster = Roster()

    def strangers(self, present: set[int], asked: set[int]) -> list[int]:
        """Return the nodes that are there, have not said who they are and were not asked."""
        return [node for node in self.roster.unknown(present) if node not in asked]

    def meet(
        self, node: int, header: Mapping[str, Any], clock: ClockBounds
    ) -> tuple[Card, Card | None]:
        """Take a device in by its first answer; return its card and the one it replaces.

        Raises:
            FleetError: if it contradicts a device that is there.
            RefusedError: if its card cannot be read.
        """
        card = read_card(node, header, clock)
        clash = self.roster.clash(card, self._is_there)
        if clash:
            raise FleetError(clash, "Give every node a --partition and a --name of its own.")
        before = self.roster.put(card)
        self._lost.discard(card.device)
        if before is not None and before.session == card.session:
            card = self.roster.update(card.device, prepared=before.prepared)
        if before is not None:
            card = self.roster.update(
                card.device, launches=before.launches, launch_faults=before.launch_faults
            )
        return card, before

    def prepared(self, device: str, header: Mapping[str, Any], *, late: bool) -> str:
        """Note what came of preparing; return why the device is refused, if it is.

        One that comes `late`, after round 1, is checked by itself.

        Raises:
            RefusedError: if the answer cannot be read.
        """
        card = self.roster.get(device)
        if card is None:
            return ""
        told = read_prepared(header, most_power_w(card.facts))
        wrong = []
        if late:
            wrong = [] if told["data"] == self._settings.data else ["its data are others"]
            if not self._settings.mixed:
                wrong += other_versions(card, self._settings.versions)
        if not wrong:
            self.roster.update(device, prepared=told)
            self._trains[device] = card.trains
        return "; ".join(wrong)

    def trains_otherwise(self, card: Card) -> str:
        """Return in words that something else than before would train on a device; often empty.

        A worker that is started anew where its GPU was lost would go on with the processor, and
        the seconds and joules of one device would be those of two.
        """
        before = self._trains.get(card.device, card.trains)
        if before == card.trains:
            return ""
        why = str((card.facts.get("accelerator") or {}).get("why") or "")
        return f"{before} has trained so far, and now {card.trains} would" + (
            f": {why}" if why else ""
        )

    def lose(self, device: str) -> None:
        """Ask a device who it is before anything else: its worker is gone, or was started anew."""
        self._lost.add(device)

    def is_lost(self, device: str) -> bool:
        """Say whether a device has to say who it is before it is asked to train."""
        return device in self._lost

    def lost(self, present: set[int], asked: set[int]) -> list[Card]:
        """Return the devices to be asked who they are again: there, and owing no answer."""
        cards = (self.roster.get(device) for device in sorted(self._lost))
        return [card for card in cards if card and card.node in present - asked]

    def refuse(self, device: str, error: HarnessError) -> bool:
        """Note why a device cannot take part; say whether that is new."""
        new = device not in self._refused
        self._refused[device] = error
        return new

    @property
    def short_of_memory(self) -> bool:
        """Say whether a device was refused that has no memory for what the run trains."""
        return any(isinstance(error, MemoryExceededError) for error in self._refused.values())

    def why_refused(self, card: Card) -> str:
        """Return why a device does not take part; empty if it does, or may yet."""
        error = self._refused.get(card.device)
        return error.message if error is not None and card.prepared is None else ""

    def exclude(self, node: int, error: HarnessError) -> None:
        """Never ask this node again."""
        self.roster.ignore(node)
        self._clashes.append(error)

    def holder(self, client: int) -> Card | None:
        """Return the device that holds a client's data and can be asked."""
        card = self.roster.holder(client)
        return card if card is not None and self._can_train(card) else None

    def _can_train(self, card: Card) -> bool:
        there = self._is_there(card.node) and card.device not in self._lost
        return there and card.prepared is not None

    def reachable(self) -> list[Card]:
        """Return the devices that are there and prepared."""
        return [card for card in self.roster.cards() if self._can_train(card)]

    def complete(self) -> bool:
        """Say whether nobody need be waited for: all are ready, or something is wrong."""
        if self._clashes or self._refused:
            return True
        ready = [card for card in self.roster.cards() if card.prepared is not None]
        if self._settings.begin_with:
            return len(ready) >= self._settings.begin_with
        held = {client for card in ready for client in card.partition}
        return held >= set(range(self._settings.clients))

    def problems(self) -> list[HarnessError]:
        """Return everything that must not be before round 1."""
        settings, cards = self._settings, self.roster.cards()
        found = [*self._clashes, *self._not_ready(cards)]
        clients = settings.clients if not settings.begin_with else 0
        found += problems(cards, clients, settings.data, settings.versions, mixed=settings.mixed)
        least = max(settings.begin_with, 1)
        if len(cards) < least:
            found.append(FleetError(
                f"{len(cards)} of {least} devices came within {settings.join_s:g} s",
                "Start more nodes, or lower --begin-with.",
            ))  # fmt: skip
        return found

    def _not_ready(self, cards: Sequence[Card]) -> list[HarnessError]:
        return [self._why_not(card.device) for card in cards if card.prepared is None]

    def _why_not(self, device: str) -> HarnessError:
        """Return why a device is not ready, of the kind that its own error is."""
        error = self._refused.get(device)
        if error is None:
            return FleetError(f"{device} is not ready: no answer")
        return type(error)(f"{device} is not ready: {error.message}", error.remedy)

    def notes(self) -> list[str]:
        """Return in words what people should know of the devices before round 1."""
        cards = self.roster.cards()
        shared = [
            f"{', '.join(devices)} are one machine: the meter of each sees the others' work"
            " too, so their joules say nothing about a device and must not be added"
            for devices in share_a_meter(cards)
        ]
        steps = [f"{card.device}: {text}" for card in cards for text in passed_words(card.steps)]
        own = [
            f"{c.device}: {text}" for c in cards for text in (c.prepared or {}).get("own_words", ())
        ]
        return [*clock_notes(cards, self._settings.sample_s), *shared, *steps, *own]
