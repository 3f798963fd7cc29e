"""Decide which rails of this board add up to a figure, from the profile that fits the host.

A meter runs in a process of its own and is only told its own typed form, so it finds the board
itself under the injected root; the option `board` names it where the device tree does not tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.errors import DeviceError
from devices.host import detect
from devices.meters.base import Rail, Role
from devices.profile import Profile, RailRule, find_profile

UNKNOWN_SCOPE = "unknown"

MOST_LOADS = 2.5
MOST_LOADS_TEGRA = 4.0
"""Times the profile's full load, which is that of the processor cores, that a board cannot draw:
the rest is for what hangs on its ports, and on a Jetson for the GPU, which may take three times
what the cores take (Orin Nano: 8.5 W and up to 25 W)."""

LEAST_IDLE = 0.25
"""Share of the profile's idle power that no running board stays below, stripped or not."""

UNKNOWN_MOST_W = 300.0
"""More than any module or board draws: Thor, the largest, is rated 130 W."""


@dataclass(frozen=True)
class BoardLimits:
    """Bound what a board draws while it runs.

    Attributes:
        least_w: Less than it draws at rest; 0 if the board is not known.
        most_w: More than it can draw; None if the board is not known.
    """

    least_w: float = 0.0
    most_w: float | None = None


def board_limits(profile: Profile) -> BoardLimits:
    """Derive the limits from a profile; only those of one board, not of a family such as x86."""
    if not profile.match.compatible:
        return BoardLimits()
    tegra = any(name.startswith("nvidia,") for name in profile.match.compatible)
    loads = MOST_LOADS_TEGRA if tegra else MOST_LOADS
    return BoardLimits(LEAST_IDLE * profile.power.idle_w, loads * profile.power.full_load_w)


def find_limits(root: Path) -> BoardLimits:
    """Return the limits of the host under a root."""
    try:
        return board_limits(find_profile("auto", detect(root)))
    except DeviceError:
        return BoardLimits()


@dataclass(frozen=True)
class BoardRails:
    """Hold what the profile says about a meter's rails.

    Attributes:
        board: Name of the profile; empty if none fits the host.
        compatible: Device-tree compatible strings of the host.
        rules: Rules for this meter, the preferred one first; none if the board is not known.
        limits: What the board draws at least and at most.
    """

    board: str
    compatible: tuple[str, ...]
    rules: tuple[RailRule, ...]
    limits: BoardLimits = BoardLimits()


@dataclass(frozen=True)
class RailChoice:
    """Hold the rule that fits the rails which were found.

    Attributes:
        rule: The rule; None if no total is known.
        known_board: Whether a rule was to be had at all.
        note: Why there is no total; empty with a rule.
        limits: What the board draws at least and at most.
    """

    rule: RailRule | None
    known_board: bool
    note: str = ""
    limits: BoardLimits = BoardLimits()

    @property
    def scope(self) -> str:
        """Return what the total covers."""
        return self.rule.scope if self.rule else UNKNOWN_SCOPE

    def role(self, rail: str) -> Role:
        """Return the role of a rail."""
        return "total" if self.rule and rail in summed_rails(self.rule) else "witness"

    def rail(self, name: str, resolution_w: float | None = None) -> Rail:
        """Describe a rail of sampled power with what it can show on this board."""
        whole = self.rule is not None and self.rule.total == name
        return Rail(
            name,
            self.role(name),
            resolution_w=resolution_w,
            max_power_w=self.limits.most_w or UNKNOWN_MOST_W,
            min_power_w=(self.limits.least_w or None) if whole else None,
        )


def summed_rails(rule: RailRule) -> tuple[str, ...]:
    """Return the rails that make up a rule's figure."""
    return (rule.total,) if rule.total else rule.sum


def find_board_rails(root: Path, meters: Sequence[str], board: str = "") -> BoardRails:
    """Look up the rules for a meter in the host's profile.

    A profile may hold several rules for one meter, named `<meter>` and `<meter>-<anything>`, where
    boards of one kind differ in what they can measure.

    Args:
        root: Root of the file system.
        meters: Names under which rules may be kept; those of the first that has any are taken.
        board: Name of a profile; empty to recognise the host.

    Raises:
        DeviceError: There is no profile of that name.
    """
    host = detect(root)
    try:
        profile = find_profile(board or "auto", host)
    except DeviceError:
        if board:
            raise
        return BoardRails("", host.compatible, ())
    for meter in meters:
        keys = [key for key in profile.rails if key == meter or key.startswith(f"{meter}-")]
        keys.sort(key=lambda key: key != meter)
        if keys:
            rules = tuple(profile.rails[key] for key in keys)
            return BoardRails(profile.name, host.compatible, rules, board_limits(profile))
    return BoardRails(profile.name, host.compatible, (), board_limits(profile))


def choose_rule(board: BoardRails, rails: Iterable[str], scope: str = "") -> RailChoice:
    """Pick the first rule whose rails are all there exactly once.

    Args:
        board: What the profile says.
        rails: Names of the rails that were found, repeats included.
        scope: Scope asked for; empty for the preferred one.
    """
    counts = Counter(rails)
    wanted = [rule for rule in board.rules if not scope or rule.scope == scope]
    for rule in wanted:
        if all(counts[name] == 1 for name in summed_rails(rule)):
            return RailChoice(rule, True, limits=board.limits)
    found = ", ".join(counts) or "none"
    if not board.rules:
        who = f"for {board.board} " if board.board else ""
        note = f"no rule {who}says which rails make up the whole: all are witnesses ({found})"
        return RailChoice(None, False, note, board.limits)
    if not wanted:
        scopes = ", ".join(dict.fromkeys(rule.scope for rule in board.rules))
        note = f"{board.board} has no scope {scope!r}, only {scopes}"
        return RailChoice(None, True, note, board.limits)
    missing = [name for name in summed_rails(wanted[0]) if counts[name] != 1]
    note = f"the total of {board.board} needs each of these once: {', '.join(missing)}"
    return RailChoice(None, True, f"{note}; rails found: {found}", board.limits)
