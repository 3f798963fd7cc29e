"""Time reading, opening, generating and importing data."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.dataset import ensure_scenes
from harness.workloads.multitask.data.manifest import ShardEntry, StoreManifest
from harness.workloads.multitask.data.picture_files import RGB8
from harness.workloads.multitask.data.scenes.building import building_views
from harness.workloads.multitask.data.sources.taskonomy.layout import TaskonomyView
from harness.workloads.multitask.data.sources.taskonomy.reading import (
    TaskonomyReader,
    Where,
    files_of,
)
from harness.workloads.multitask.data.split import SPLITS, shard_name
from harness.workloads.multitask.data.store import Store, open_store
from harness.workloads.multitask.data.verify import verify
from harness.workloads.multitask.training.batches import ClientBatches
from models.multitask.network import build
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from tests.benchmarks.table import head, row, spread

REPEATS = 15
BATCH_SIZE = 8
CLIENTS = 1000
TASKS = "sdnkt"
SIDE_PX = 512


def seconds(action: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def resident_mb() -> float:
    """Return the memory this process holds, mapped files included."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def reading(store: Store) -> list[str]:
    """Return images per second of a client's epoch, of training on it, and their ratio."""
    net = build(architecture("small"), TASKS, 0).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-6, momentum=0.9)
    batches = ClientBatches(store, "train", 0, TASKS)

    def read() -> None:
        for _ in batches.epoch(BATCH_SIZE, np.random.default_rng(0)):
            pass

    def train() -> None:
        for images, targets in batches.epoch(BATCH_SIZE, np.random.default_rng(0)):
            optimizer.zero_grad(set_to_none=True)
            accumulate_gradients(net, images, targets)
            optimizer.step()

    read()
    train()
    images = batches.length // BATCH_SIZE * BATCH_SIZE
    pairs = [(seconds(read), seconds(train)) for _ in range(REPEATS)]
    # what is read while training is part of `train`; the network alone is the difference
    ratios = [(trained - read_s) / read_s for read_s, trained in pairs]
    return [
        row("epoch read, images/s", *spread([images / r for r, _ in pairs], ".0f"), ""),
        row("epoch trained, images/s", *spread([images / t for _, t in pairs], ".0f"), ""),
        row("reading is faster than the network by", *spread(ratios, ".1f"), "≥ 5"),
    ]


def thousand_clients(store: Store, folder: Path) -> Store:
    """Return a store of many clients, each of them the same shard of another store."""
    splits = {}
    for split in SPLITS:
        first = store.manifest.splits[split][0]
        names = [f"client_{number:03d}" for number in range(CLIENTS)]
        splits[split] = tuple(ShardEntry(name, first.images, first.record) for name in names)
        (folder / split).mkdir()
        for name in names:
            (folder / shard_name(split, name)).symlink_to(store.folder(split, 0))
    manifest = StoreManifest(store.description, splits, store.checksum)
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return open_store(folder)


def opening(store: Store) -> list[str]:
    """Return milliseconds to open, to reach a first batch, and the memory of reading them all."""
    with tempfile.TemporaryDirectory() as folder:
        many = thousand_clients(store, Path(folder))

        def first_batch() -> None:
            opened = open_store(many.path)
            ClientBatches(opened, "train", CLIENTS // 2, TASKS).read(np.arange(BATCH_SIZE))

        def one_batch_each(clients: range) -> float:
            for client in clients:
                ClientBatches(many, "train", client, TASKS).read(np.arange(BATCH_SIZE))
            return resident_mb()

        opened = [1e3 * seconds(lambda: open_store(many.path)) for _ in range(REPEATS)]
        batches = [1e3 * seconds(first_batch) for _ in range(REPEATS)]
        before = one_batch_each(range(20))
        grown = [one_batch_each(range(CLIENTS)) - before for _ in range(3)]
    return [
        row(f"open {CLIENTS} clients, ms", *spread(opened, ".1f"), "milliseconds"),
        row("open and read a first batch, ms", *spread(batches, ".1f"), ""),
        row(f"memory grown by reading {CLIENTS} clients, MB", *spread(grown, ".1f"), "0"),
    ]


def checking(store: Store) -> list[str]:
    """Return megabytes per second of hashing a store, and milliseconds of remembering it."""
    rate = [store.bytes / 1e6 / seconds(lambda: verify(store, again=True)) for _ in range(3)]
    again = [1e3 * seconds(lambda: verify(store)) for _ in range(REPEATS)]
    return [
        row("verify all files, MB/s", *spread(rate, ".0f"), ""),
        row("verify again, untouched, ms", *spread(again, ".1f"), ""),
    ]


def generating() -> list[str]:
    """Return images per second that one core generates, room by room."""
    lines = []
    for size in (64, 128):
        rates = []
        for building in range(REPEATS):
            start = time.perf_counter()
            images = sum(1 for _ in building_views(1, building, range(2), size, 1.0))
            rates.append(images / (time.perf_counter() - start))
        lines.append(row(f"generate {size} px, images/s per core", *spread(rates, ".1f"), ""))
    return lines


def importing() -> list[str]:
    """Return milliseconds per picture of reading nine published files of 512 px."""
    labels = "sdnkterc"
    view = TaskonomyView(0, 0)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        folders = {label: files_of(label).folders[0] for label in ("rgb", *labels)}
        where = Where(root, folders, SIDE_PX, 64, (), masked=True)
        for label, name in folders.items():
            colour = files_of(label).encoding == RGB8
            kind = np.uint16 if 16 in files_of(label).encoding.bits else np.uint8
            tiles = rng.integers(0, 18, (64, 64, 3) if colour else (64, 64)).astype(kind)
            path = root / name / "uvalda" / view.file(name)
            path.parent.mkdir(parents=True)
            Image.fromarray(tiles.repeat(8, 0).repeat(8, 1)).save(path)
        reader = TaskonomyReader(where, labels, "uvalda")
        times = [1e3 * seconds(lambda: reader.read(view)) for _ in range(REPEATS)]
    return [row("import a picture with nine files, ms", *spread(times[1:], ".1f"), "")]


def report() -> list[str]:
    """Return the table of all figures."""
    lines = head("figure", "min", "median", "max", "goal")
    with tempfile.TemporaryDirectory() as folder:
        config = ScenesConfig(clients=1, unseen_buildings=1)
        store = ensure_scenes(config, Path(folder), lambda *_: None, workers=1)
        lines += itertools.chain(reading(store), opening(store), checking(store))
    return [*lines, *generating(), *importing()]


def main() -> int:
    """Print the table."""
    print("\n".join(report()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
