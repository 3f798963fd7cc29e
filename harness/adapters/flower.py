"""Measure Flower apps: a mod for the clients, a strategy's wrapper for the server.

    client_app = ClientApp(mods=[EnergyMod()])
    strategy = measured_strategy(FedAvg())

Every reply to a train or evaluate message then holds what the client's host spent on it, twice: as
metrics, so that any strategy aggregates them, and in full in the ConfigRecord `edge-harness`, from
which the wrapper writes a run folder.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord, MetricRecord

from devices.text_files import read_text
from harness.adapters.flower_server import measured_strategy
from harness.measurement.stretches import Stretch, Stretches

if TYPE_CHECKING:
    from flwr.app import Context, Message, RecordDict

__all__ = ["RECORD", "EnergyMod", "measured_strategy"]

RECORD = "edge-harness"
METRICS = (
    "time_s", "energy_j", "energy_error_j", "energy_model_j", "received_bytes", "sent_bytes",
)  # fmt: skip
LEGACY = ("fitres.metrics", "evaluateres.metrics")
"""Where clients of Flower's older interface keep their metrics."""


class EnergyMod:
    """Measure every train and evaluate message of a ClientApp.

    Metrics added to the reply: `time_s`, `energy_j` with `energy_error_j`, `energy_model_j`
    (modelled, never a measurement), `received_bytes` and `sent_bytes` (content of the messages).
    What is not known is NaN and makes an average NaN, never 0 and never left out, since strategies
    want the same metrics of all clients. A metric of the app's own of the same name stays.

    The meter starts with the first message and runs on with the process. Joules are those of the
    whole host: of clients that share one, each sees the others' too.

    Args:
        meter: As on the command line; by default what the node's configuration has as `meter`
            (`flower-supernode --node-config 'meter="plug:host=192.168.1.5,type=shelly"'`), else
            `auto`.
        rate_hz: Readings per second; None takes the most that the meter can give.
        root: Root of the file system in which sensors are looked for.
    """

    def __init__(
        self, meter: str = "", *, rate_hz: float | None = 10.0, root: Path = Path("/")
    ) -> None:
        self._meter = meter
        self._rate_hz = rate_hz
        self._root = root
        self._made: dict[str, Stretches] = {}

    def __call__(
        self, message: Message, context: Context, call_next: Callable[[Message, Context], Message]
    ) -> Message:
        """Let the app answer, and add what that took."""
        kind = str(message.metadata.message_type).partition(".")[0]
        if kind not in ("train", "evaluate"):
            return call_next(message, context)
        received = _content_bytes(message)
        meter = self._meter or str(context.node_config.get("meter", "auto"))
        if meter not in self._made:
            self._made[meter] = Stretches(meter, rate_hz=self._rate_hz, root=self._root)
        with self._made[meter].measure(kind) as stretch:
            reply = call_next(message, context)
        if reply.has_content():
            told = {**_told(stretch, self._made[meter]), "host": host_word(self._root)}
            told["received_bytes"] = received
            told["sent_bytes"] = _content_bytes(reply)
            _add(reply.content, told)
        return reply

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as what it was made of: a running meter cannot."""
        return _mod, (self._meter, {"rate_hz": self._rate_hz, "root": self._root})


def _told(stretch: Stretch, stretches: Stretches) -> dict[str, Any]:
    cost, meters, profile = stretch.cost, stretches.meters, stretches.chosen.profile
    assert cost is not None  # as the stretch is over
    return {
        "phase": cost.name,
        "start_s": stretch.span.start.time_s,
        "end_s": stretch.span.end.time_s,
        "time_s": cost.time_s,
        "cpu_s": _or_nan(cost.cpu_s),
        "energy_j": _or_nan(cost.energy_j),
        "energy_error_j": _or_nan(cost.error_j),
        "energy_model_j": _or_nan(cost.model_j),
        "energy_meter": meters.name,
        "energy_scope": meters.scope,
        "energy_kind": meters.kind,
        "energy_reason": cost.reason,
        "flags": "+".join(cost.flags),
        "device": profile.name if profile else "unknown",
    }


def _mod(meter: str, options: Mapping[str, Any]) -> EnergyMod:
    return EnergyMod(meter, **options)


def host_word(root: Path = Path("/")) -> str:
    """Return a word that two clients share if they run on one host since one start of it."""
    boot = read_text(root / "proc/sys/kernel/random/boot_id")
    return hashlib.sha256(f"edge-harness {boot}".encode()).hexdigest()[:12]


def _content_bytes(message: Message) -> int:
    return sum(_record_bytes(record) for record in message.content.values())


def _record_bytes(record: Any) -> int:  # noqa: ANN401 - one of Flower's three kinds of records
    try:
        return int(record.count_bytes())
    except (ValueError, IndexError):  # Flower 1.42 does not count an empty text or list
        return len(record.deflate())


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _add(content: RecordDict, told: Mapping[str, Any]) -> None:
    """Put the figures into a reply."""
    # without empty texts, which Flower's own `message_size_mod` stumbles over
    content[RECORD] = ConfigRecord({name: value for name, value in told.items() if value != ""})
    legacy = next((name for name in LEGACY if name in content), None)
    found = content[legacy] if legacy else next(iter(content.metric_records.values()), None)
    if found is None:
        found = content["metrics"] = MetricRecord()
    for name in METRICS:
        if name not in found:
            found[name] = told[name]
