"""A manifest makes no command reach where the person typing did not send it."""

from pathlib import Path

import pytest

from harness.core.errors import ConfigChangedError
from harness.evidence.foreign import refuse_foreign

SPY = "plug:host=evil.example,password_file=~/.ssh/id_ed25519"


def ours(_: Path) -> bool:
    return True


def theirs(_: Path) -> bool:
    return False


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"meter": SPY}, "--meter"),
        ({"meter": f"rapl+{SPY}"}, "--meter"),
        ({"meter": f"simulated:low_w=1+{SPY}"}, "--meter"),
        ({"meter": f"simulated + {SPY}"}, "--meter"),
        ({"meter": "replay:path=/etc/shadow"}, "--meter"),
        ({"meter": "simulatedx:path=/etc/shadow"}, "--meter"),
        ({"data": "/home/ada/pictures"}, "--data"),
        ({"data": "../../x"}, "--data"),
        ({"cache": "/home/ada/thesis"}, "--cache"),
    ],
)
def test_what_was_not_typed_is_refused_and_named(own, named) -> None:
    with pytest.raises(ConfigChangedError) as refused:
        refuse_foreign(Path("run"), own, {}, theirs)
    assert named in refused.value.remedy
    typed = {named.removeprefix("--"): "typed"}
    refuse_foreign(Path("run"), own, typed, theirs)


@pytest.mark.parametrize(
    "own",
    [
        {}, {"meter": "auto"}, {"meter": "rapl+nvml"}, {"meter": "simulated:low_w=1,high_w=9"},
        {"data": "scenes"}, {"cache": "/srv/cache"},
    ],
)  # fmt: skip
def test_what_reaches_nowhere_needs_not_be_typed(own) -> None:
    refuse_foreign(Path("run"), own, {"meter": None}, ours)
