"""Write what measured Flower clients tell as a run folder, beside whatever strategy aggregates."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.core.schema import DEVICES
from harness.measurement.choice import choose_meters
from harness.measurement.meters import Joules, MeterSet, added
from harness.running.measurement_files import SessionFiles, slug

if TYPE_CHECKING:
    from flwr.app import Message
    from flwr.serverapp.strategy import Strategy

    Wrapped = TypeVar("Wrapped", bound=Strategy)

RECORD = "edge-harness"
NUMBERS = ("time_s", "cpu_s", "energy_j", "energy_error_j", "energy_model_j")
TEXTS = ("energy_meter", "energy_scope", "energy_kind", "energy_reason", "flags")


def measured_strategy(strategy: Wrapped, out: str | Path = "results", label: str = "") -> Wrapped:
    """Let a strategy write a run folder of what `EnergyMod` tells; it is returned itself.

    Every start of it makes a folder of its own: `devices.csv` has a row per client, round and
    phase, `cells.csv` the sum of training over clients and rounds. The sum is empty, with the
    reason, if one client has no joules, or if two measured one host at the same time.

    Args:
        strategy: Any strategy; it aggregates as before.
        out: Folder of results.
        label: What this is; by default the strategy's name.

    Raises:
        HarnessError: when it is started, if the folder cannot be made.
    """
    name = label or type(strategy).__name__
    keeper = _Keeper(strategy, Path(out), name)
    for method, kept in (
        ("start", keeper.start),
        ("aggregate_train", keeper.aggregate_train),
        ("aggregate_evaluate", keeper.aggregate_evaluate),
    ):
        setattr(strategy, method, kept)
    return strategy


class _Keeper:
    """Stand before three methods of a strategy and note what passes."""

    def __init__(self, strategy: Strategy, out: Path, name: str) -> None:
        self._start = strategy.start
        self._aggregate_train = strategy.aggregate_train
        self._aggregate_evaluate = strategy.aggregate_evaluate
        self._out = out
        self._name = name
        self._method = type(strategy).__name__
        self._files: SessionFiles | None = None
        self._told: list[Mapping[str, Any]] = []

    def start(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the strategy's own
        """Run the strategy inside a run folder."""
        chosen = choose_meters("none")
        settings = {"commands": [self._name], "methods": [self._method], "seeds": [0], "repeats": 1}
        self._told = []
        with SessionFiles.create(self._out, chosen, self._name, settings) as files:
            self._files = files
            files.look_around()
            start_s = time.monotonic()
            files.begin(MeterSet((), "clients measure themselves: devices.csv"), start_s)
            try:
                result = self._start(*args, **kwargs)
            except BaseException:
                self._conclude("failed", time.monotonic() - start_s)
                raise
            self._conclude("done", time.monotonic() - start_s)
            files.end("done")
            return result

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Any:  # noqa: ANN401
        """Note the replies of a round of training and pass them on."""
        return self._aggregate_train(server_round, self._noted(server_round, "train", replies))

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> Any:  # noqa: ANN401
        """Note the replies of a round of evaluation and pass them on."""
        noted = self._noted(server_round, "evaluate", replies)
        return self._aggregate_evaluate(server_round, noted)

    def _noted(self, round_number: int, phase: str, replies: Iterable[Message]) -> list[Message]:
        kept = list(replies)
        told = [_told(message, round_number, phase) for message in kept]
        self._told += told
        if self._files is not None:
            rows = [_row(one, self._files.run_id, self._cell) for one in told]
            self._files.table("devices", DEVICES, rows)
        return kept

    @property
    def _cell(self) -> str:
        return slug(self._name, 0)

    def _conclude(self, status: str, wall_s: float) -> None:
        assert self._files is not None  # as it was started
        trained = [one for one in self._told if one["phase"] == "train"]
        joules = summed(trained)
        words = {name: "+".join(dict.fromkeys(str(o[name]) for o in trained)) for name in TEXTS[:3]}
        self._files.plain_cell(
            {
                "run_id": self._files.run_id,
                "cell": self._cell,
                "device": "+".join(dict.fromkeys(str(one["kind"]) for one in trained)) or "unknown",
                "host_matches_device": True,
                "method": self._method,
                "tasks": "",
                "seed": 0,
                "repeat": 0,
                "rounds": max((one["round"] + 1 for one in trained), default=0),
                "clients": len({one["device"] for one in self._told}),
                "time_s": math.fsum(one["time_s"] or 0.0 for one in trained),
                "energy_j": joules.energy_j,
                "energy_error_j": joules.error_j,
                "energy_model_j": _sum([one["energy_model_j"] for one in trained]),
                **words,
                "energy_reason": joules.reason,
                "upload_bytes": sum(one["sent_bytes"] for one in self._told),
                "download_bytes": sum(one["received_bytes"] for one in self._told),
                "status": status,
                "reason": "" if status == "done" else "the strategy raised an error",
                "flags": "+".join(joules.flags),
                "interruptions": 0,
            },
            {"wall_time_s": (wall_s, "s")},
        )


def _told(message: Message, round_number: int, phase: str) -> dict[str, Any]:
    """Return what a reply tells; of a client that failed or does not measure only that."""
    content = message.content if message.has_content() else {}
    record: Mapping[str, Any] = content.get(RECORD, {})
    why = "" if record else "the client does not measure itself"
    if not message.has_content():
        why = f"the client failed: {message.error.reason}"
    numbers = {name: _number(record.get(name)) for name in (*NUMBERS, "start_s", "end_s")}
    return {
        **numbers,
        **{name: str(record.get(name, "")) for name in TEXTS},
        "energy_reason": why or record.get("energy_reason", ""),
        "phase": phase,
        "round": round_number - 1,
        "device": str(message.metadata.src_node_id),
        "host": record.get("host", ""),
        "kind": record.get("device", "unknown"),
        "sent_bytes": int(record.get("sent_bytes", 0)),
        "received_bytes": int(record.get("received_bytes", 0)),
        "fate": "used" if message.has_content() else "missing",
    }


def _row(told: Mapping[str, Any], run_id: str, cell: str) -> dict[str, Any]:
    names = {column.name for column in DEVICES}
    own = {name: value for name, value in told.items() if name in names}
    # the clients' clocks are their own: only lengths mean anything here
    return {**own, "run_id": run_id, "cell": cell, "start_s": None, "end_s": None}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if known and len(known) == len(values) else None


def summed(told: Sequence[Mapping[str, Any]]) -> Joules:
    """Return the joules of all stretches; none if two of them measured one host at once."""
    hosts: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in told:
        if one["start_s"] is not None and one["end_s"] is not None:
            hosts[one["host"]].append((one["start_s"], one["end_s"]))
    if any(b[0] < a[1] for spans in hosts.values() for a, b in pairwise(sorted(spans))):
        return Joules(
            None, None, "clients measured one host at the same time: each holds the others' joules"
        )
    return added(
        Joules(
            one["energy_j"],
            one["energy_error_j"],
            one["energy_reason"],
            tuple(filter(None, one["flags"].split("+"))),
        )
        for one in told
    )
