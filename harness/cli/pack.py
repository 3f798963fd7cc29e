"""Make the archive of some runs that a reviewer can check, and check one."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from harness.core.command_frame import run_command
from harness.core.errors import EXIT_DONE, UsageError
from harness.core.parser import Parser
from harness.core.shell_words import shell_word

EPILOG = """the bundle is a folder; the same runs give the same bytes. Names of home folders and of
this host are taken out of it. --sign signs the checksums of all files with a key of SSH;
--verify says whether a bundle is as it was packed, and with --key by whom. exit status: 0 done;
2 wrong usage; 7 a run or bundle is damaged, or not signed by that key; 9 files cannot be written,
or the run is going on."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m harness.pack",
        description="Make an archive of runs: data, tables, figures, claims, checksums.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="run folder, or a name in results/")
    parser.add_argument("--out", metavar="BUNDLE", help="folder to make")
    parser.add_argument(
        "--weights", action="store_true", help="put trained weights and exported models in too"
    )
    parser.add_argument("--sign", metavar="KEY", help="sign it with this private key of SSH")
    parser.add_argument("--verify", metavar="BUNDLE", help="check a bundle instead of making one")
    parser.add_argument(
        "--key", metavar="FILE", help="with --verify: public key, or allowed signers, it must bear"
    )
    return run_command(parser, words, _verify_or_pack)


def _verify_or_pack(parsed: Namespace) -> int:
    if parsed.verify is not None:
        if parsed.runs or parsed.out or parsed.sign or parsed.weights:
            raise UsageError("--verify goes with --key only", "Make a bundle in a command apart.")
        return _verify(Path(parsed.verify), parsed.key)
    if parsed.key is not None:
        raise UsageError("--key goes with --verify only", "--sign names the key to sign with.")
    if not parsed.runs or not parsed.out:
        lacking = "RUN" if not parsed.runs else "--out"
        raise UsageError(f"{lacking} is missing", "python -m harness.pack RUN --out BUNDLE")
    return _pack(parsed)


def _verify(bundle: Path, key: str | None) -> int:
    from harness.evidence.signature import verify  # noqa: PLC0415 - help answers without it

    found = verify(bundle, None if key is None else Path(key))
    print(f"{bundle}: all {found.files} files are as they were packed.")
    if not found.signer:
        print("It is not signed: whoever changes a file could have changed the checksums too.")
    elif found.known:
        print(f"Signed by the key named: {found.signer}.")
    else:
        print(f"Signed by {found.signer}. Whose key that is you must know: --key FILE names it.")
    return EXIT_DONE


def _pack(parsed: Namespace) -> int:
    from harness.evidence.bundle import Packing, pack  # noqa: PLC0415 - help answers without it
    from harness.evidence.reading import find_run  # noqa: PLC0415

    runs = [find_run(text) for text in parsed.runs]
    key = Path(parsed.sign) if parsed.sign else None
    out = pack(runs, Path(parsed.out), Packing(parsed.weights, key))
    files = [path for path in out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"{out}: {len(files)} files, {size / 1e6:.1f} MB")
    verify = f"python -m harness.pack --verify {shell_word(out)}"
    print(f"Begin with {out / 'README.md'}. To check: {verify}")
    return EXIT_DONE
