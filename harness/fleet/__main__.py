"""Start the parts of a fleet: python -m harness.fleet server|node|demo|status|keys."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from harness.core.command_frame import asked_name, framed
from harness.core.launching import PARTS, typed_name


def main(words: Sequence[str] | None = None) -> int:
    """Run one of the commands and return its exit status."""
    typed = sys.argv[1:] if words is None else words
    return framed(lambda: _started(typed))


def _started(words: Sequence[str]) -> int:
    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "server": _server, "node": _node, "demo": _demo, "status": _status, "keys": _keys,
    }  # fmt: skip
    asked = asked_name(words, commands, help_text())
    return commands[asked](words[1:]) if isinstance(asked, str) else asked


def help_text() -> str:
    """Return the list of the parts."""
    lines = [f"  {name:<8} {title}" for name, title in PARTS["fleet"].items()]
    program = typed_name("fleet")
    return "\n".join(
        [f"usage: {program} COMMAND ...", "", *lines, "",
         f"Options of each: {program} COMMAND --help. The manual: docs/fleet.md"]
    )  # fmt: skip


def _server(words: Sequence[str]) -> int:
    from harness.fleet.commands import server  # noqa: PLC0415 - help answers without the others

    return server.main(words)


def _node(words: Sequence[str]) -> int:
    from harness.fleet.commands import node  # noqa: PLC0415

    return node.main(words)


def _demo(words: Sequence[str]) -> int:
    from harness.fleet.commands import demo  # noqa: PLC0415

    return demo.main(words)


def _status(words: Sequence[str]) -> int:
    from harness.fleet.commands import status  # noqa: PLC0415

    return status.main(words)


def _keys(words: Sequence[str]) -> int:
    from harness.fleet.commands import keys  # noqa: PLC0415

    return keys.main(words)


if __name__ == "__main__":
    sys.exit(main())
