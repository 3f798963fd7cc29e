"""Commands that only look answer without the heavy packages (ux.md section 8, no. 1)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numpy", "pandas", "matplotlib")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("harness.cli.run", ["--help"]),
        ("harness.cli.run", ["--max-time", "soon"]),
        ("harness.cli.run", ["--resume", "nowhere"]),
        ("harness.cli.list", ["methods"]),
        ("harness.cli.list", ["runs", "--out", "tests/fixtures/runs"]),
        ("harness.cli.doctor", ["--json"]),
        ("harness.cli.check", ["--help"]),
        ("harness.cli.check", ["tests/fixtures/runs/schema1"]),
        ("harness.cli.compare", ["--help"]),
        ("harness.cli.pack", ["--help"]),
        ("harness.cli.measure", ["--help"]),
        ("harness.cli.measure", ["--no-results", "--meter", "none", "--", "true"]),
        ("harness.cli.mark", ["--help"]),
        ("harness.cli.mark", ["train"]),
        ("harness.cli.watch", ["--help"]),
        ("harness.fleet.__main__", ["--help"]),
        ("harness.fleet.__main__", ["server", "--help"]),
        ("harness.fleet.__main__", ["node", "--help"]),
        ("harness.fleet.__main__", ["demo", "--help"]),
        ("harness.fleet.__main__", ["status"]),
        ("harness.workloads.multitask.commands.infer", ["--help"]),
        ("harness.workloads.multitask.commands.infer", ["nowhere"]),
    ],
)
def test_it_imports_nothing_heavy(module: str, words: list[str]) -> None:
    code = (
        f"import sys; from {module} import main\n"
        f"try: main({words!r})\n"
        "except SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
