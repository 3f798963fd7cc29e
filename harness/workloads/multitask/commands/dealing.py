"""Let `python -m harness.data report` look at clients as a run with label skew has them."""

from __future__ import annotations

import argparse

from harness.core.errors import DataUsageError
from harness.workloads.multitask.data.label_skew import CLASSES, DIRICHLET, LABEL_SKEWS, LabelSkew
from harness.workloads.multitask.data.store import Store

SKEWS = LABEL_SKEWS[1:]


def add_label_skew(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run that deal training pictures by class."""
    group = parser.add_argument_group("label skew, as of a run")
    group.add_argument("--label-skew", choices=SKEWS, help="deal training pictures by class")
    group.add_argument(
        "--concentration", type=float, metavar="X", help=f"of {DIRICHLET}; default: 0.5"
    )
    group.add_argument(
        "--classes-each", type=int, metavar="N", help=f"classes a client, of {CLASSES}; default: 2"
    )


def dealt(options: argparse.Namespace, store: Store) -> Store:
    """Return a store whose pictures are dealt to as many clients as it has, if that is asked for.

    Raises:
        DataError: if pictures cannot be dealt so.
        DataUsageError: if options contradict one another.
    """
    given = {"concentration": options.concentration, "classes_each": options.classes_each}
    of = {"concentration": DIRICHLET, "classes_each": CLASSES}
    for name, value in given.items():
        if value is not None and options.label_skew != of[name]:
            text = f"--{name.replace('_', '-')} is of --label-skew {of[name]}."
            raise DataUsageError(text, "Leave it out, or ask for that.")
        if value is not None and not 0 < value < float("inf"):
            text = f"--{name.replace('_', '-')} {value} is impossible."
            raise DataUsageError(text, "Give a number above 0.")
    if options.label_skew is None:
        return store
    from harness.workloads.multitask.data.dealt import DealtStore, deal  # noqa: PLC0415
    from harness.workloads.multitask.data.image_classes import classes_of_pictures  # noqa: PLC0415

    known = {name: value for name, value in given.items() if value is not None}
    skew = LabelSkew(options.label_skew, store.count("train"), options.seed, **known)
    return DealtStore(store, deal(skew, classes_of_pictures(store)))
