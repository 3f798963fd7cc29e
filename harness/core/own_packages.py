"""Let this program's own packages win over folders of the same names where it is typed.

`python -m harness.run` puts the current folder first on the path that modules are looked for on.
People keep folders called `models`, `analysis` and `devices` there, and files called like modules
of others. Only a program that is ours is looked after; where a script of somebody else's imports
`harness`, nothing is changed, as the script may have a `models` of its own.

This file must parse on Python 3.6, like harness/run.py.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

OWN = ("harness", "devices", "models", "analysis")
SCRIPT = "edge-harness"


def started_module(words: "Sequence[str]") -> str:
    """Return the module that `python -m` was told to start, from all its words; "" without."""
    rest = iter(words[1:])
    for word in rest:
        if word == "-m":
            return next(rest, "")
        if word.startswith("-m"):
            return word[2:]
        if word in ("-X", "-W"):
            next(rest, "")
        elif word.startswith("-c") or not word.startswith("-"):
            break
    return ""


def is_own_program(words: "Sequence[str]", first: str) -> bool:
    """Return whether these words of the interpreter, or `sys.argv[0]`, start one of our commands.

    A process that `multiprocessing` starts has the `sys.argv` of the one that started it.
    """
    if started_module(words).partition(".")[0] in OWN or Path(first).name == SCRIPT:
        return True
    if not Path(first).is_absolute():  # "-m", as long as the module is looked for
        return False
    return any(_folder() / name in Path(first).resolve().parents for name in OWN)


def keep_own_packages() -> None:
    """Take the current folder off the path of a program of ours, and load its own packages first.

    On a Python that is too old nothing is done, as it cannot read them.
    """
    words = getattr(sys, "orig_argv", None)  # new in 3.10
    if not words or not is_own_program(words, sys.argv[0] if sys.argv else ""):
        return
    folder = _folder()
    if started_module(words) and not getattr(sys.flags, "safe_path", False):
        here = Path(sys.path[0]).resolve()  # "" is the current folder, too
        if here == Path().resolve() and here != folder:
            del sys.path[0]
    sys.path.insert(0, str(folder))
    try:
        for name in OWN:
            if name not in sys.modules:
                importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


def _folder() -> Path:
    """Return the folder that this program's packages lie in."""
    return Path(__file__).resolve().parents[2]
