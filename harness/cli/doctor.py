"""Say what this host is, what can measure it, what is wrong and how to mend it."""

from __future__ import annotations

import importlib.util
import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from devices.board_state import read_board_state
from devices.card_watch import look_at_cards
from devices.container_start import start_lines
from devices.cuda_probe import CudaProbe, cuda_here
from devices.errors import DeviceError
from devices.fixture import dump_tree
from devices.host import Host, detect
from devices.inspection import MeterReport, inspect_meters
from devices.meters.registry import METERS, MeterSpec, meter_class
from devices.profile import Profile, find_profile
from devices.programs import Programs
from devices.udev import RULES
from harness.checkup.facts import ClockWatch, HostFacts, detect_tree, facts_here, write_facts
from harness.checkup.readiness import Checkup
from harness.checkup.report import as_dict, as_text
from harness.checkup.torch_trial import TorchTrial
from harness.core.command_frame import run_command
from harness.core.errors import EXIT_DEVICE, EXIT_DONE, StorageError, UsageError
from harness.core.parser import Parser, add_include_options

NOT_OF_A_HOST = ("simulated", "replay")
"""Meters that say nothing about the host; asked only when they are named."""

METERS_TIMEOUT_S = 3.5
EPILOG = (
    """exit status: 0 ready, also if joules can only be modelled; 2 wrong usage; 3 not ready."""
)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(_parser(), words, _doctor)


def _doctor(parsed: Namespace) -> int:
    if parsed.print_udev:
        print(RULES, end="")
        return EXIT_DONE
    return _examine(parsed)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m harness.doctor",
        description="Say what this host is, what can measure it, what is wrong and how to fix it.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--print-udev", action="store_true", help="print udev rules for all meters")
    parser.add_argument(
        "--meter", action="append", default=[], metavar="NAME", help="ask this meter too, with"
        " options as in plug:host=10.0.0.7,type=shelly; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--dump-fixture", metavar="DIR", help="write what was read into a new folder"
    )
    parser.add_argument("--root", metavar="DIR", help="answer for such a folder, not for this host")
    parser.add_argument(
        "--out", default="results", metavar="DIR", help="folder that results go to [results]"
    )
    add_include_options(parser)
    return parser


def _examine(parsed: Namespace) -> int:
    check, programs = _check(parsed)
    if parsed.dump_fixture:
        _dump(programs, Path(parsed.dump_fixture), check.facts)
    print(json.dumps(as_dict(check), indent=2) if parsed.json else as_text(check))
    return EXIT_DEVICE if check.verdict() == "not-ready" else EXIT_DONE


def _check(parsed: Namespace) -> tuple[Checkup, Programs]:
    """Find everything out; the clock is watched from the first moment to the last."""
    watch = ClockWatch()
    root = Path(parsed.root or "/")
    programs = Programs(root)
    host, recorded = detect_tree(root) if parsed.root else (detect(), None)
    profile = _profile(host)
    preferred = profile.meters if profile else ()
    board = read_board_state(root, programs)
    meters = sorted(_inspect(parsed.meter, root), key=lambda m: m.name not in preferred)
    # Only now, as it keeps a core busy while readings of an idle host are taken.
    fault = None if recorded or not _has_torch() else TorchTrial().fault()
    check = Checkup(
        host=host,
        board=board,
        meters=meters,
        facts=recorded or facts_here(host, Path(parsed.out), watch, fault),
        profile=profile,
        named=[MeterSpec.parse(text).name for text in parsed.meter],
        cuda=_cuda(profile, recorded=recorded is not None),
        container=start_lines(host, root),
        cards=[] if parsed.root else look_at_cards(),
    )
    return check, programs


def _cuda(profile: Profile | None, *, recorded: bool) -> CudaProbe | None:
    """Try CUDA where this host's device has a GPU; None elsewhere, and for another host's files."""
    if recorded or profile is None or profile.gpu is None or not _has_torch():
        return None
    return cuda_here()


def _has_torch() -> bool:
    """Look for the package without importing it; finding none is a thing of its own."""
    return importlib.util.find_spec("torch") is not None


def _inspect(named: Sequence[str], root: Path) -> list[MeterReport]:
    """Ask all meters of a host, and those that were named with their options."""
    try:
        names = {MeterSpec.parse(text).name: text for text in named}
        for name in names:
            meter_class(name)
        texts = {name: name for name in METERS if name not in NOT_OF_A_HOST} | names
        return inspect_meters(list(texts.values()), root, METERS_TIMEOUT_S)
    except DeviceError as error:
        raise UsageError(error.message, error.remedy) from error


def _profile(host: Host) -> Profile | None:
    try:
        return find_profile("auto", host)
    except DeviceError:
        return None  # the verdict says so


def _dump(programs: Programs, folder: Path, facts: HostFacts) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder", "Name one that does not exist yet.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        count = dump_tree(programs.root, folder, programs)
        write_facts(facts, folder)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror}") from error
    print(f"{count} files written to {folder}; look through them before you pass them on",
          file=sys.stderr)  # fmt: skip
