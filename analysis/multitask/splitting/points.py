"""List the points of the study: what is varied, by which options, with how many seeds.

This is the file to change. Each point is the default run but for its options; each of its runs
trains one seed. `all` trains methods and oracles, `main` the methods alone, `oracles` those alone,
`drawn` the methods and, where no oracle can train every partition, one drawn at random. The other
parts train baselines beside `all-in-one`, so that processor seconds are paired within a run, or
what `mas-plus` claims beside single tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

METHODS = ("independent", "mas:splits=2", "mas:splits=3", "all-in-one")
ORACLES = ("best-split:splits=2", "worst-split:splits=2", "best-split:splits=3",
           "worst-split:splits=3")  # fmt: skip
DRAWN = ("random-split:splits=2", "random-split:splits=3")

CHEAP = (
    "all-in-one", "mas-plus", "uncertainty", "famo:again=no", "db-mtl:at=features",
    "cagrad:at=features", "aligned-mtl:at=features", "imtl-g:at=features", "mgda:at=features",
)  # fmt: skip
FAITHFUL = (
    "all-in-one", "pcgrad", "cagrad", "db-mtl", "aligned-mtl", "imtl-g", "mgda", "famo",
)  # fmt: skip
SERVERS = (
    "all-in-one", "fedprox", "fedavgm", "fedadam", "fedyogi", "fednova", "scaffold",
)  # fmt: skip

UNLIKE = ("apart", "mat-fl", "fedhca2")
CLAIMED: Mapping[int, tuple[str, ...]] = {
    14: (
        "independent", "mas-plus:detail=3,logs=yes", "mas-plus:detail=3,logs=yes,effort=0.857",
        "mas-plus:detail=3,logs=yes,effort=0.786",
    ),
    100: ("independent", "mas-plus:detail=1.5", "mas-plus:detail=1.5,effort=0.7"),
}  # fmt: skip
"""Rounds → single tasks and the variants of `mas-plus` that docs/mas-plus.md speaks of."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "all": (*METHODS, *ORACLES),
    "main": METHODS,
    "oracles": ORACLES,
    "drawn": (*METHODS, *DRAWN),
    "plus": ("mas-plus",),
    "cheap": CHEAP,
    "faithful": FAITHFUL,
    "servers": SERVERS,
    "tuned": ("all-in-one", "tuned-weights"),
    "together": ("mas:splits=2", "mas-together:splits=2"),
    "unlike": UNLIKE,
    "kinds": UNLIKE,
    **{f"claim-{rounds}": methods for rounds, methods in CLAIMED.items()},
}
"""Part of a point → the methods of one of its runs. MAS comes first: what it merged, with its
look-aheads, is then lent to all others."""

COMMON = (
    "--share-jobs", "--order", "fixed", "--threads", "1", "--step", "plain", "--meter", "none",
    "--cool-down", "off", "--no-report", "--keep-batch-size",
)  # fmt: skip
"""One thread and plain fp32 steps: losses are then the same however busy the host is."""

HOLD = ("--optimizer", "nesterov", "--schedule", "hold")
"""The descent of `mas-plus`, which the other methods can have too."""

MUON = (*HOLD, "--server", "muon", "--momentum", "0.8", "--learning-rate", "1.4")
"""The best descent of those tried (docs/mas-plus.md)."""


XCEPTION = ("--model", "xception", *HOLD, "--server", "muon", "--momentum", "0.8",
            "--learning-rate", "0.1")  # fmt: skip
"""The highest rate of those tried at which the merged network is tested at what it learnt: at the
default's 1 losses are no numbers, at 0.3 the batch-norm statistics of one task are far off."""


@dataclass(frozen=True)
class Point:
    """Describe one point: `axis` and `value` are for people, `seeds` those of each part."""

    name: str
    axis: str
    value: str
    options: tuple[str, ...] = ()
    rounds: int = 14
    seeds: Mapping[str, Sequence[int]] = field(default_factory=dict)


def _rounds(number: int) -> tuple[str, ...]:
    return ("--rounds", str(number))


FEW = (0, 1, 2)
CLAIM = (0, 1, 2, 3, 4, 5)
WHOLE = {"all": FEW}
FIRST = {"main": FEW, "oracles": FEW}
"""As `WHOLE`, the methods before the oracles: those cost twice as much as all methods together."""
LONG = {"main": CLAIM, "oracles": FEW}
LONG_HELD = {"main": CLAIM, "plus": CLAIM, "oracles": FEW}

POINTS = (
    Point("default", "default", "14 rounds, heavy-ball", seeds=WHOLE),
    Point("default-hold", "descent", "nesterov, hold", HOLD, seeds=FIRST),
    Point("default-muon", "descent", "nesterov, hold, muon", MUON, seeds=FIRST),
    Point("images-16", "training images a client", "16", ("--images", "20"), seeds=WHOLE),
    Point("images-80", "training images a client", "80", ("--images", "88"), seeds=FIRST),
    Point("images-252", "training images a client", "252", ("--images", "288"), seeds=FIRST),
    Point("skew-0", "skew of the clients", "0", ("--skew", "0"), seeds=FIRST),
    Point("skew-half", "skew of the clients", "0.5", ("--skew", "0.5"), seeds=FIRST),
    Point("erckt", "tasks", "erckt", ("--tasks", "erckt"), seeds=FIRST),
    Point("sdnkterca", "tasks", "sdnkterca", ("--tasks", "sdnkterca"), seeds={"drawn": FEW}),
    Point("small-wide", "network", "small-wide", ("--model", "small-wide"), seeds=FIRST),
    Point("xception", "network", "xception", XCEPTION, seeds={**FIRST, "main": CLAIM}),
    Point("rounds-50", "rounds, heavy-ball", "50", _rounds(50), 50, FIRST),
    Point("rounds-50-hold", "rounds, nesterov, hold", "50", (*_rounds(50), *HOLD), 50, FIRST),
    Point("paper", "rounds, heavy-ball", "100", _rounds(100), 100, LONG),
    Point("paper-hold", "rounds, nesterov, hold", "100", (*_rounds(100), *HOLD), 100, LONG_HELD),
)  # fmt: skip
"""Those at the head are trained first. The default has 84 training images a client, skew 1, the
most there is, the tasks sdnkt and the network small."""

RULES = ("cheap", "servers", "together", "faithful", "tuned", "unlike", "kinds")
LABELS: Mapping[str, str] = {"unlike": "sdn|kt", "kinds": "sd|nk|t"}
"""Part → tasks that each kind of clients has labels for, where they differ."""
FORMER = {14: "default-hold", 100: "paper-hold"}
"""Rounds → the point of the map that has independent training with the same options."""


def _baseline(part: str, rounds: int) -> Point:
    labels = ("--client-tasks", LABELS[part]) if part in LABELS else ()
    seeds = FEW if rounds == 14 else (0,)
    options = (*_rounds(rounds), *HOLD, *labels)
    return Point(f"{part}-{rounds}", part, f"{rounds} rounds", options, rounds, {part: seeds})


BASELINES = tuple(_baseline(part, rounds) for rounds in FORMER for part in RULES)
"""Baselines with the descent of `mas-plus`, at both lengths; no points of the map. Rules that
diverge at their published rates are not among them."""

CLAIMS = (
    Point("claim-14", "claim", "14 rounds", MUON, seeds={"claim-14": range(9)}),
    Point("claim-100", "claim", "100 rounds", (*_rounds(100), *MUON), 100, {"claim-100": CLAIM}),
)
"""What `mas-plus` claims, against single tasks of the very same descent."""

STUDY = (*POINTS, *BASELINES, *CLAIMS)
