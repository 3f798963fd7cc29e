"""Make, import, describe and show data sets: python -m harness.data COMMAND --help."""

from __future__ import annotations

import argparse
import sys
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from devices import extensions
from harness.core.command_frame import report, run_command
from harness.core.errors import EXIT_DONE, DataError, DataUsageError, UsageError
from harness.core.parser import take_in_early
from harness.core.shell_words import shell_word
from harness.workloads.multitask.commands.data_options import parser_of, scenes_of
from harness.workloads.multitask.commands.dealing import dealt
from harness.workloads.multitask.data.build import BuildPlan, ensure_store, fault_table, read_faults
from harness.workloads.multitask.data.catalogue import SCENES, find_store, outside_data
from harness.workloads.multitask.data.dataset import ensure_scenes
from harness.workloads.multitask.data.files import reported, write_durably
from harness.workloads.multitask.data.split import SPLITS
from harness.workloads.multitask.data.store import Store, open_store
from harness.workloads.multitask.data.verify import verify


class _Progress:
    """Show progress on a terminal, redrawn once a per cent at most."""

    def __init__(self) -> None:
        self._shown = -1

    def __call__(self, done: int, total: int) -> None:
        percent = 100 * done // max(1, total)
        if sys.stderr.isatty() and percent != self._shown:
            self._shown = percent
            sys.stderr.write(f"\r{percent:3} %  {done} of {total} images")
            sys.stderr.write("\n" if done == total else "")
            sys.stderr.flush()


def _existing(options: argparse.Namespace) -> Store:
    if options.store != SCENES:
        return open_store(find_store(options.store, options.cache))
    path = options.cache / scenes_of(options).folder_name()
    if not path.exists():
        message = f"{path} does not exist."
        raise DataError(
            message,
            "Run `python -m harness.data make` with the same options first.",
        )
    return open_store(path)


def _make(options: argparse.Namespace) -> None:
    store = ensure_scenes(scenes_of(options), options.cache, _Progress(), options.workers)
    print(f"{store.path}: {store.bytes / 1e6:.1f} MB, checksum {store.checksum}")


def _import(options: argparse.Namespace) -> None:
    outside = outside_data().get(options.kind)
    if outside is None:
        _import_from(options)
        return
    with tempfile.TemporaryDirectory(prefix=f"{outside.name}-") as folder:
        options.path = Path(folder)
        try:
            outside.prepare(options.path)
        except Exception as error:
            raise DataError(
                f"data set {outside.name} cannot be made: {extensions.fault(error)}",
                "Ask whoever wrote the file that defines it.",
            ) from error
        _import_from(options)


def _import_from(options: argparse.Namespace) -> None:
    plan = _plan(options)
    if (options.cache / plan.folder_name).exists():
        print("This was imported before; delete the folder to import it again.")
    else:
        print(f"{len(plan.jobs)} parts, {plan.images} images, checking and reading every file …")
    store = ensure_store(plan, options.cache, _Progress(), options.workers)
    _print_summary(store)
    print(f"checksum  {store.checksum}")
    faults = read_faults(store)
    if faults:
        left_out = f"{store.manifest.left_out} of {plan.images} images for {len(faults)} files"
        print(f"\nleft out  {left_out}; all are in {store.path}/left_out.csv")
        print("\n".join(fault_table(faults)))
    kept = set(store.clients) | set(store.names("test_unseen"))
    dropped = sorted({job.client for job in plan.jobs} - kept)
    if dropped:
        print(f"dropped   {', '.join(dropped)}: no usable image is left in some split")
    print(f"\nTrain on it: python -m harness.run --dataset {shell_word(store.path)}")


def _plan(options: argparse.Namespace) -> BuildPlan:
    if options.kind == "taskonomy":
        from harness.workloads.multitask.data.sources.taskonomy import plan as taskonomy  # noqa: PLC0415

        return taskonomy.plan_taskonomy(
            taskonomy.TaskonomySelection(
                options.path, options.tasks, options.size, options.source_size,
                options.protocol, tuple(options.fault), options.images_per_building,
            )
        )  # fmt: skip
    if options.kind == "nyuv2":
        from harness.workloads.multitask.data.sources import nyuv2  # noqa: PLC0415

        return nyuv2.plan_nyuv2(nyuv2.NyuSelection(options.path, options.size))
    from harness.workloads.multitask.data.sources.folder.plan import plan_folder  # noqa: PLC0415

    return plan_folder(options.path, options.kind)


def _print_summary(store: Store) -> None:
    print(f"path      {store.path}")
    print(f"data set  {store.name}, version {store.version}, {store.size_px}×{store.size_px}")
    print(f"tasks     {store.tasks}")
    print(f"protocol  {store.description.protocol}")
    print(f"arrays    {store.bytes / 1e6:.1f} MB")
    for split in SPLITS:
        lengths = [store.length(split, client) for client in range(store.count(split))]
        spread = f"{min(lengths)} to {max(lengths)}" if lengths else "no"
        each = spread if len(set(lengths)) > 1 else str(lengths[0]) if lengths else "no"
        print(f"{split:12}{len(lengths):5} buildings × {each} images")


def _info(options: argparse.Namespace) -> None:
    store = _existing(options)
    if options.verify:
        verify(store, again=True)
    _print_summary(store)
    print(f"checksum  {store.checksum}{' (every file verified)' if options.verify else ''}")
    if store.manifest.left_out:
        print(f"left out  {store.manifest.left_out} images, see {store.path}/left_out.csv")
    if store.classes:
        names = ", ".join(f"{number} {name}" for number, name in enumerate(store.classes))
        indent = " " * 10
        print(textwrap.fill(f"classes   {names}", 79, subsequent_indent=indent))
    for label, stored in store.description.labels.items():
        shape = "×".join(str(length) for length in stored.shape(1, store.size_px)[1:])
        print(f"{label:5} {stored.dtype:7} {shape:9} {stored.meaning}")


def _show(options: argparse.Namespace) -> None:
    import numpy as np  # noqa: PLC0415

    from harness.workloads.multitask.data.contact_sheet import contact_sheet  # noqa: PLC0415
    from harness.workloads.multitask.data.png import encode_png  # noqa: PLC0415

    store = _existing(options)
    buildings = store.count(options.split)
    if options.rows < 1 or buildings < 1:
        message = f"{options.rows} pictures of {buildings} buildings make no sheet."
        raise DataUsageError(message, "Ask for at least one picture of a split that is not empty.")
    rows = []
    for row in range(options.rows):
        client = row % buildings
        # 5 is prime to the four views of a room, so that rooms and views both vary.
        image = (row // buildings) * 5 % store.length(options.split, client)
        arrays = store.split(options.split, client)
        labels = store.description.labels
        rows.append({label: np.asarray(arrays[label][image]) for label in labels})
    out = options.out or Path(f"{store.name}.png")
    with reported("write", out):
        write_durably(out, encode_png(contact_sheet(rows, store.description)))
    print(out)


def _report(options: argparse.Namespace) -> None:
    from harness.workloads.multitask.data.heterogeneity import measure  # noqa: PLC0415

    found = measure(dealt(options, _existing(options)), options.split, options.most_images)
    print("classes, rooms: total variation to the mean client, 0 alike to 1 nothing in common")
    print("\n".join(found.table()))
    for path, text in ((options.json, found.to_json()), (options.csv, found.to_csv())):
        if path is not None:
            with reported("write", path):
                write_durably(path, text.encode())
            print(path)


INTERRUPTED = "\ninterrupted: finished buildings are kept"

_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "make": _make,
    "import": _import,
    "info": _info,
    "show": _show,
    "report": _report,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    try:
        words = take_in_early(sys.argv[1:] if arguments is None else arguments)
    except UsageError as error:
        return report(error)
    return run_command(parser_of(__doc__), words, _command, INTERRUPTED)


def _command(options: argparse.Namespace) -> int:
    _COMMANDS[options.command](options)
    return EXIT_DONE
