"""Export the models of a run to ONNX and measure what they cost when they are used."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from devices.accelerator import split_device
from harness.cli.ending import report_on, terminated_like_interrupted
from harness.config import PATHS, check_values
from harness.core.command_frame import run_command
from harness.core.errors import (
    EXIT_CELLS_FAILED,
    EXIT_DONE,
    EXIT_INTERRUPTED,
    DamagedRunError,
    MissingPackageError,
    UsageError,
)
from harness.core.parser import Parser, add_include_options
from harness.core.shell_words import own_path
from harness.evidence.foreign import refuse_foreign
from harness.evidence.reading import RunFiles, find_run, read_run
from harness.run_folder.lock import busy, is_running
from harness.running.accelerator import CPU
from harness.workloads.multitask.config import MultitaskConfig, make_multitask_config
from harness.workloads.multitask.data.catalogue import is_cache
from harness.workloads.multitask.inference import settings as read
from harness.workloads.multitask.inference.deployment import chosen_cells
from harness.workloads.multitask.inference.providers import ON_PROCESSOR
from harness.workloads.multitask.inference.settings import InferenceSettings

PACKAGES = ("onnx", "onnxruntime", "onnxscript")

EPILOG = """RUN is a run folder or a name in results/. A method answers an image completely with one
merged model, with several split ones, or with one per task. Scenarios as MLPerf
Inference defines them: single-stream (one query of one image after another: latency) and offline
(all images at once, in batches: throughput). What is there already is not measured again. exit
status: 0 done, 2 wrong usage, 3 device or meter missing, 5 some cells failed, 7 damaged run folder,
9 files cannot be written or data cannot be read, 130 interrupted."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(_parser(), words, _infer)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m harness.infer",
        description="Export the models of a run to ONNX, check them against torch, and measure"
        " latency, throughput, memory and energy of complete answers under ONNX Runtime.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="run folder, or a name in results/")
    add("--methods", "--method", dest="methods", metavar="LIST", help="methods of the run [all]")
    add("--seeds", metavar="LIST", help="learning seeds, as in 0-4, or all [the first]")
    add("--device", metavar="NAME", help="device to answer for [that of the run]")
    add("--require-device", action="store_true", help="stop unless this host is that device")
    add("--meter", metavar="NAME", default="auto", help="meter to use, auto or none [%(default)s]")
    add("--require-meter", action="store_true", help="stop unless energy can be measured")
    add("--runtimes", metavar="LIST", help=f"of {', '.join(read.RUNTIMES)} [both]")
    add("--precisions", metavar="LIST", help=f"of {', '.join(read.PRECISIONS)} [both]")
    add(
        "--providers",
        metavar="LIST",
        default="auto",
        help="execution providers: cpu, xnnpack, cuda, tensorrt [those the device should have]",
    )
    add("--threads", metavar="LIST", help="numbers of threads, as in 1,4 [1 and all]")
    add("--batches", metavar="LIST", help="batch sizes of the offline scenario [1,8,32]")
    add(
        "--window",
        metavar="SECONDS",
        help="least length of a window [2, or 10 times what the meter averages over]",
    )
    add("--queries", metavar="N", help="least queries in a single-stream window [64]")
    add("--warm-up", metavar="SECONDS", help="warm-up thrown away before each window [0.5]")
    add(
        "--calibration-images",
        metavar="N",
        default="64",
        help="training images for the scales of int8 [%(default)s]",
    )
    add("--idle", metavar="SECONDS", help="idle power before and after [as in the run]")
    add("--rate-hz", metavar="N", help="samples per second asked of the meter [as in the run]")
    add("--cache", metavar="DIR", help="folder of generated data [as in the run]")
    add("--data", metavar="NAME", help="data set or folder of a store [as in the run]")
    add("--quick", action="store_true", help="short windows to see that all works")
    add("--fresh", action="store_true", help="throw away what is there and begin anew")
    add("--no-report", action="store_true", help="make no report at the end")
    add_include_options(parser)
    return parser  # fmt: skip


def _infer(parsed: Namespace) -> int:
    wanted = _settings(parsed)
    run = _run(find_run(parsed.run))
    cells = chosen_cells(run, wanted.methods, wanted.seeds)
    config = _config(run, parsed)
    _check_packages(wanted)
    from rich.console import Console  # noqa: PLC0415 - help and errors answer without it

    from devices.card_watch import look_at_cards  # noqa: PLC0415
    from harness.measurement.host_look import HostLook  # noqa: PLC0415
    from harness.running.target import resolve_target  # noqa: PLC0415
    from harness.workloads.multitask.inference.screen import InferenceScreen  # noqa: PLC0415

    target = resolve_target(config)
    if parsed.threads:
        own = read.numbers("--threads", parsed.threads, target.cores)
        wanted = replace(wanted, threads=tuple(sorted(own)))
    with (
        terminated_like_interrupted(),
        InferenceScreen(Console(highlight=False), run.folder) as screen,
    ):
        on_cores = wanted.providers and all(name in ON_PROCESSOR for name in wanted.providers)
        look = HostLook(cards=tuple if on_cores else look_at_cards)
        screen.begin(target, cells)
        screen.warn(look.troubles())
        from harness.workloads.multitask.data.dataset import open_data  # noqa: PLC0415
        from harness.workloads.multitask.inference.plan import Asked  # noqa: PLC0415 - imports torch
        from harness.workloads.multitask.inference.session import infer  # noqa: PLC0415
        from models.multitask.registry import architecture  # noqa: PLC0415

        store = open_data(config, screen)
        _same_data(run, store.checksum)
        network = architecture(config.model)
        asked = Asked(run, cells, config, wanted, target, store, network)
        summary = infer(asked, screen)
    screen.conclude(summary)
    if summary.stopped:
        return EXIT_INTERRUPTED
    page = None if parsed.no_report else report_on(run.folder)
    screen.goodbye(page)
    return EXIT_CELLS_FAILED if summary.failures else EXIT_DONE


def _run(folder: Path) -> RunFiles:
    """Return the run.

    Raises:
        BusyError: if it is going on.
        DamagedRunError: if it is damaged, of another schema version, or without any weights.
    """
    if is_running(folder):
        raise busy(folder)
    run = read_run(folder)
    if not any((folder / "checkpoints").glob("*/*.safetensors")):
        raise DamagedRunError(
            f"{folder}: holds no trained models: checkpoints/ is empty or missing",
            "Copy it from where the run was made (harness.pack takes it along with --weights), or"
            " run it again.",
        )
    return run


def _config(run: RunFiles, parsed: Namespace) -> MultitaskConfig:
    """Return the configuration of the run with this command's device, meter and folders."""
    path = run.folder / "manifest.json"
    try:
        own = check_values(run.section("config"), str(path), MultitaskConfig)
    except UsageError as error:
        raise DamagedRunError(
            f"{path}: its configuration is of another version: {error.message}",
            "Use the version of this program that made the run.",
        ) from None
    places = {key: own_path(own[key]) for key in PATHS if own.get(key)}
    typed = {"meter": parsed.meter, "cache": parsed.cache, "data": parsed.data}
    reaching = {key: value for key, value in {**own, **places}.items() if key in typed}
    refuse_foreign(run.folder, reaching, typed, is_cache, asdict(MultitaskConfig()))
    given: dict[str, Any] = {
        "device": split_device(parsed.device or str(own.get("device", "auto")))[0],
        "require_device": parsed.require_device,
        "meter": parsed.meter,
        "require_meter": parsed.require_meter,
        "threads": 0,
        "accelerator": CPU,  # torch answers on the processor; graphics are a provider's matter
    }
    given |= {key: typed[key] for key in ("cache", "data") if typed[key]}
    for option, name, least in (("idle", "idle_s", 0.0), ("rate_hz", "rate_hz", 1e-3)):
        text = getattr(parsed, option)
        if text is not None:
            given[name] = read.seconds("--" + option.replace("_", "-"), text, least)
    return make_multitask_config({**own, **places, **given})


def _settings(parsed: Namespace) -> InferenceSettings:
    usual: Mapping[str, Any] = (
        {
            "batches": read.QUICK_BATCHES, "queries": read.QUICK_QUERIES,
            "warm_up_s": read.QUICK_WARM_UP_S,
        }
        if parsed.quick
        else {}
    )  # fmt: skip
    given: dict[str, Any] = {
        "methods": read.methods(parsed.methods),
        "seeds": read.seeds(parsed.seeds),
        "providers": read.providers(parsed.providers),
        "calibration_images": read.count("--calibration-images", parsed.calibration_images),
        "fresh": parsed.fresh,
        "quick": parsed.quick,
    }
    if parsed.runtimes:
        given["runtimes"] = read.names("--runtimes", parsed.runtimes, read.RUNTIMES)
    if parsed.precisions:
        given["precisions"] = read.names("--precisions", parsed.precisions, read.PRECISIONS)
    if parsed.batches:
        given["batches"] = read.numbers("--batches", parsed.batches, read.MOST_BATCH)
    if parsed.queries:
        given["queries"] = read.count("--queries", parsed.queries)
    if parsed.window is not None:
        given["window_s"] = read.seconds("--window", parsed.window, 0.01)
    if parsed.warm_up is not None:
        given["warm_up_s"] = read.seconds("--warm-up", parsed.warm_up, 0.0)
    return InferenceSettings(**{**usual, **given})


def _check_packages(wanted: InferenceSettings) -> None:
    """Refuse to begin without the packages that the work asked for needs.

    Raises:
        MissingPackageError: naming them and how to install them.
    """
    needed = PACKAGES if "onnxruntime" in wanted.runtimes else ("onnxruntime",)
    absent = [name for name in needed if find_spec(name) is None]
    if absent:
        raise MissingPackageError(
            f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed",
            "Install what inference needs: .venv/bin/pip install -c constraints.txt -e '.[infer]'",
        )


def _same_data(run: RunFiles, checksum: str) -> None:
    """Refuse test images of other data than the run was tested on.

    Raises:
        DamagedRunError: saying so.
    """
    trained = str(run.section("data").get("checksum") or "")
    if trained and trained != checksum:
        raise DamagedRunError(
            f"{run.folder}: was trained on other data (checksum {trained[:12]}…) than are here"
            f" ({checksum[:12]}…)",
            "Use the version of this program that made the run, or the data it used.",
        )
