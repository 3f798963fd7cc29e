"""Hold the options of `python -m harness.data`."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields
from pathlib import Path

from devices.host import usable_cores
from harness.core.parser import Parser, add_include_options
from harness.workloads.multitask.commands.dealing import add_label_skew
from harness.workloads.multitask.data.catalogue import (
    DATA_SETS,
    SCENES,
    default_cache,
    outside_data,
)
from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.sources.taskonomy.layout import SIDE_PX
from harness.workloads.multitask.data.sources.taskonomy.protocol import FAULTS, PROTOCOLS
from harness.workloads.multitask.data.split import SPLITS


def parser_of(meaning: str | None) -> Parser:
    """Return what reads the command line of `python -m harness.data`."""
    parser = Parser(prog="python -m harness.data", description=meaning)
    add_include_options(parser)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="generate the scenes unless they are there")
    _add_scenes(make)
    _add_workers(make)
    brought = commands.add_parser("import", help="bring in Taskonomy, NYUv2 or a folder")
    _add_imports(brought)
    info = commands.add_parser("info", help="print what a store holds")
    info.add_argument("--verify", action="store_true", help="check the SHA-256 of every file")
    show = commands.add_parser("show", help="write a contact sheet of pictures and labels")
    show.add_argument("--split", choices=SPLITS, default="train")
    show.add_argument("--rows", type=int, default=8, help="pictures, spread over the buildings")
    show.add_argument("--out", type=Path, help="PNG file to write; default: NAME.png")
    report = commands.add_parser("report", help="print how much the clients differ")
    report.add_argument("--split", choices=SPLITS, default="train")
    report.add_argument(
        "--most-images", type=int, default=128, metavar="N", help="images per client looked at"
    )
    add_label_skew(report)
    report.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")
    report.add_argument("--csv", type=Path, metavar="FILE", help="write a row per client there")
    for command in (info, show, report):
        command.add_argument(
            "store", nargs="?", default=SCENES, metavar="STORE",
            help=f"{', '.join(DATA_SETS)}, or the folder of a store; default: {SCENES}",
        )  # fmt: skip
        _add_scenes(command)
    return parser


def _add_cache(parser: argparse.ArgumentParser) -> None:
    cache = default_cache(os.environ, Path.home())
    parser.add_argument(
        "--cache", type=Path, default=cache, metavar="DIR", help=f"data sets; default: {cache}"
    )


def _add_workers(parser: argparse.ArgumentParser) -> None:
    cores = usable_cores()
    parser.add_argument("--workers", type=int, default=cores, metavar="N", help="processes")


def _add_scenes(parser: argparse.ArgumentParser) -> None:
    _add_cache(parser)
    group = parser.add_argument_group("which scenes")
    default = ScenesConfig()
    for name, meaning in (
        ("seed", "number of the generated world"),
        ("clients", "buildings that train"),
        ("images", "pictures per client; the last eighth tests, as many more validate"),
        ("unseen_buildings", "buildings nobody trains on"),
        ("unseen_images", "pictures of each of them"),
        ("size", "side of the pictures in pixels"),
    ):
        option = f"--{name.replace('_', '-')}"
        value = getattr(default, name)
        text = f"{meaning}; default: {value}"
        group.add_argument(option, type=int, default=value, metavar="N", help=text)
    group.add_argument(
        "--skew", type=float, default=default.skew, metavar="X",
        help=f"0: clients alike, 1: each its own style; default: {default.skew}",
    )  # fmt: skip


def _add_imports(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True)
    taskonomy = kinds.add_parser("taskonomy", help=DATA_SETS["taskonomy"])
    taskonomy.add_argument("path", type=Path, metavar="DIR", help="folder with rgb/, normal/, …")
    taskonomy.add_argument("--tasks", default="sdnkterca", metavar="LETTERS", help="default: all")
    taskonomy.add_argument(
        "--source-size", type=int, default=SIDE_PX, metavar="N",
        help=f"side of the images in DIR; default: {SIDE_PX}",
    )  # fmt: skip
    taskonomy.add_argument(
        "--protocol", choices=PROTOCOLS, default="repaired",
        help="repaired: splits share no point; release: as published, with its faults",
    )  # fmt: skip
    faults = "; ".join(f"{name}: {meaning}" for name, meaning in FAULTS.items())
    taskonomy.add_argument(
        "--fault", action="append", default=[], metavar="NAME",
        help=f"repeat one fault of the release, may be given again. {faults}",
    )  # fmt: skip
    taskonomy.add_argument(
        "--images-per-building", type=int, default=0, metavar="N", help="at most; default: all"
    )
    nyuv2 = kinds.add_parser("nyuv2", help=DATA_SETS["nyuv2"])
    nyuv2.add_argument("path", type=Path, metavar="FILE", help="nyu_depth_v2_labeled.mat")
    for kind in (taskonomy, nyuv2):
        kind.add_argument(
            "--size", type=int, default=64, metavar="N", help="side of stored images; default: 64"
        )
    folder = kinds.add_parser("folder", help=DATA_SETS["folder"])
    folder.add_argument("path", type=Path, metavar="DIR", help="folder with dataset.toml")
    outside = [kinds.add_parser(one.name, help=one.meaning) for one in outside_data().values()]
    for kind in (taskonomy, nyuv2, folder, *outside):
        _add_cache(kind)
        _add_workers(kind)


def scenes_of(options: argparse.Namespace) -> ScenesConfig:
    """Return the scenes that options say."""
    return ScenesConfig(**{each.name: getattr(options, each.name) for each in fields(ScenesConfig)})
