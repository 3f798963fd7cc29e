"""Make the archive of some runs that a reviewer can check."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from harness.cli.options import Parser, run_command
from harness.core.errors import EXIT_DONE

EPILOG = """the bundle is a folder; the same runs give the same bytes. Names of home folders and of
this host are taken out of it. exit status: 0 done; 2 wrong usage; 7 a run is damaged; 9 files
cannot be written, or the run is going on."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m harness.pack",
        description="Make an archive of runs: data, tables, figures, claims, checksums.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder, or a name in results/")
    parser.add_argument("--out", metavar="BUNDLE", required=True, help="folder to make")
    parser.add_argument(
        "--weights", action="store_true", help="put trained weights and exported models in too"
    )
    return run_command(parser, words, _pack)


def _pack(parsed: Namespace) -> int:
    from harness.evidence.bundle import Packing, pack  # noqa: PLC0415 - help answers without it
    from harness.evidence.reading import find_run  # noqa: PLC0415

    runs = [find_run(text) for text in parsed.runs]
    out = pack(runs, Path(parsed.out), Packing(weights=parsed.weights))
    files = [path for path in out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"{out}: {len(files)} files, {size / 1e6:.1f} MB")
    print(f"Begin with {out / 'README.md'}. To check: cd {out} && sha256sum -c SHA256SUMS")
    return EXIT_DONE
