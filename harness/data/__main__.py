"""Make, describe and show the data set: `python -m harness.data make|info|show`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.data.config import SPLITS, ScenesConfig
from harness.data.contact_sheet import contact_sheet
from harness.data.dataset import default_cache, ensure_scenes, open_store, size_bytes
from harness.data.errors import DataError
from harness.data.files import reported, write_durably
from harness.data.png import encode_png
from harness.data.scenes.building import LABELS
from harness.data.store import Store

_FAILED = 1
_INTERRUPTED = 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="generate the data set unless it is there")
    make.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    info = commands.add_parser("info", help="print shapes, sizes and the checksum")
    info.add_argument("--verify", action="store_true", help="check the SHA-256 of every file")
    show = commands.add_parser("show", help="write a contact sheet of pictures and labels")
    show.add_argument("--split", choices=SPLITS, default="train")
    show.add_argument("--rows", type=int, default=8, help="pictures, spread over the buildings")
    show.add_argument("--out", type=Path, default=Path("scenes.png"), help="PNG file to write")
    for command in (make, info, show):
        _add_config(command)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    default = ScenesConfig()
    cache = default_cache(os.environ, Path.home())
    parser.add_argument("--cache", type=Path, default=cache, help=f"default: {cache}")
    for name, meaning in (
        ("seed", "number of the generated world"),
        ("clients", "buildings that train"),
        ("images", "pictures per client, held-out rooms among them"),
        ("unseen_buildings", "buildings nobody trains on"),
        ("unseen_images", "pictures of each of them"),
        ("size", "side of the pictures in pixels"),
    ):
        option = f"--{name.replace('_', '-')}"
        value = getattr(default, name)
        parser.add_argument(option, type=int, default=value, help=f"{meaning}; default: {value}")
    parser.add_argument(
        "--skew", type=float, default=default.skew, help="0: clients alike, 1: each its own style"
    )


def _config(options: argparse.Namespace) -> ScenesConfig:
    return ScenesConfig(
        seed=options.seed,
        clients=options.clients,
        images=options.images,
        unseen_buildings=options.unseen_buildings,
        unseen_images=options.unseen_images,
        size=options.size,
        skew=options.skew,
    )


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} of {total} images")
        sys.stderr.write("\n" if done == total else "")
        sys.stderr.flush()


def _existing(options: argparse.Namespace, verify: bool = False) -> Store:
    path = options.cache / _config(options).folder_name()
    if not path.exists():
        message = f"{path} does not exist."
        raise DataError(message, "Run `python -m harness.data make` with the same options first.")
    return open_store(path, verify=verify)


def _make(options: argparse.Namespace) -> None:
    config = _config(options)
    store = ensure_scenes(config, options.cache, _show_progress, options.workers)
    print(f"{store.path}: {size_bytes(config) / 1e6:.1f} MB, checksum {store.checksum}")


def _info(options: argparse.Namespace) -> None:
    store = _existing(options, options.verify)
    print(f"path      {store.path}")
    print(f"version   {store.version}")
    print(f"checksum  {store.checksum}{' (every file verified)' if options.verify else ''}")
    print(f"arrays    {size_bytes(store.config) / 1e6:.1f} MB")
    for split in SPLITS:
        print(f"{split:12} {store.count(split)} buildings × {store.config.length(split)} images")
    for label, stored in LABELS.items():
        shape = "×".join(str(length) for length in stored.shape(1, store.size_px)[1:])
        print(f"{label:4} {stored.dtype:7} {shape:9} {stored.meaning}")


def _show(options: argparse.Namespace) -> None:
    store = _existing(options)
    buildings = store.count(options.split)
    if options.rows < 1 or buildings < 1:
        message = f"{options.rows} pictures of {buildings} buildings make no sheet."
        raise DataError(message, "Ask for at least one picture of a split that is not empty.")
    rows = []
    for row in range(options.rows):
        client = row % buildings
        # 5 is prime to the four views of a room, so that rooms and views both vary.
        image = (row // buildings) * 5 % store.length(options.split, client)
        arrays = store.split(options.split, client)
        rows.append({label: np.asarray(arrays[label][image]) for label in LABELS})
    with reported("write", options.out):
        write_durably(options.out, encode_png(contact_sheet(rows)))
    print(options.out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    command = {"make": _make, "info": _info, "show": _show}[options.command]
    try:
        command(options)
    except DataError as error:
        print(f"error: {error.message}\n  {error.remedy}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("\ninterrupted: finished buildings are kept", file=sys.stderr)
        return _INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
