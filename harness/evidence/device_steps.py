"""Say which devices of a fleet refused to train, and which trained in a way nobody compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.core.clean_text import clean
from harness.evidence.findings import Finding, named
from harness.evidence.reading import RunFiles
from models.execution import PLAIN

MOST_LETTERS = 300


def device_steps(run: RunFiles) -> Iterator[Finding]:
    """Yield a note for every device that took no part, and a limit for steps not compared there.

    A way of executing steps other than the plain one counts as compared with plain fp32 where the
    manifest holds a comparison without fault of that way on that device.
    """
    devices = run.section("fleet").get("devices")
    known = [one for one in devices if isinstance(one, dict)] if isinstance(devices, list) else []
    for device in known:
        refused = device.get("refused")
        if refused:
            text = f"{_name(device)} took no part: {clean(str(refused)[:MOST_LETTERS])}"
            yield Finding("note", "left-out-device", text)
    way = run.section("step").get("execution")
    if not isinstance(way, str) or way == PLAIN.text:
        return
    trained = [one for one in known if one.get("prepared")]
    unknown = [_name(one) for one in trained if not _passed(one, way)]
    if unknown:
        text = (
            f"steps were executed as {clean(way[:MOST_LETTERS])}, and nothing says that this"
            f" computes what plain fp32 does on {named(unknown)}"
        )
        yield Finding("limit", "step-unchecked", text, "Run again with --fresh, or --step plain.")


def _name(device: Mapping[str, Any]) -> str:
    return clean(str(device.get("device") or "a device")[:MOST_LETTERS])


def _passed(device: Mapping[str, Any], way: str) -> bool:
    checks = device.get("steps")
    own = [one for one in checks if isinstance(one, dict)] if isinstance(checks, list) else []
    return any(one.get("execution") == way and one.get("fault") == "" for one in own)
