"""A bundle is made twice to the same bytes, makes its paper again, and names nobody."""

import ast
import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cli.pack import main
from harness.core.errors import BusyError, DamagedRunError
from harness.core.version import told_version
from harness.evidence import bundle
from harness.evidence.bundle import Packing, pack
from harness.evidence.bundle_readme import LEVEL_0, Claim, PackedRun, readme
from harness.evidence.private import rules, veil
from harness.evidence.reading import read_run
from harness.measurement import Measurement
from harness.run_folder.lock import run_lock
from tests.sources import SOURCES

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "fixtures" / "runs" / "schema1"
SUPERUSER_HOME = pwd.getpwuid(0).pw_dir
SECRETS = ("/home/ada", "ada", "lab-bench-7", "00:1b:44:11:3a:b7", "plug.ada.example")


@pytest.fixture(scope="session")
def planted(tmp_path_factory) -> Path:
    """Return the golden run with names planted where a writer might have put some."""
    folder = tmp_path_factory.mktemp("planted") / "run"
    shutil.copytree(GOLDEN, folder)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["cache"] = "/home/ada/cache"
    manifest["command"] += " --cache /home/ada/cache --meter plug:host=plug.ada.example,type=shelly"
    manifest["reason"] = "lab-bench-7 answered late (00:1b:44:11:3a:b7)"
    path.write_text(json.dumps(manifest, indent=2))
    with (folder / "events.jsonl").open("a") as stream:
        stream.write('{"t_s": 9.0, "event": "done", "reason": "/home/ada/x on lab-bench-7"}\n')
    (folder / "checkpoints" / "c").mkdir(parents=True)
    (folder / "checkpoints" / "c" / "s.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (folder / "notes.txt").write_text("ada was here")
    return folder


@pytest.fixture(scope="session")
def packing() -> Packing:
    return Packing(private=rules(Path("/home/ada"), "lab-bench-7", Path("/nowhere")))


@pytest.fixture(scope="session")
def packed(planted, packing, tmp_path_factory) -> Path:
    return pack([planted], tmp_path_factory.mktemp("bundle") / "bundle", packing)


def files(folder: Path) -> dict[str, str]:
    """Return path → SHA-256 of all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_it_holds_what_a_reviewer_needs(packed) -> None:
    there = files(packed)
    for name in ("README.md", "manifest.json", "LICENSE", "CITATION.cff", "SHA256SUMS",
                 "schemas/columns.json", "schemas/results.md", "env/constraints.txt",
                 "paper/index.html", "paper/tables/main.tex", "paper/tables/macros.tex",
                 "paper/figures/pareto.pdf"):  # fmt: skip
        assert name in there
    assert any(name.startswith("data/") and name.endswith("cells.csv") for name in there)
    assert not any("checkpoints" in name or "notes" in name for name in there)


def test_checksums_are_those_of_the_files(packed) -> None:
    """Every file but the list itself is in it, with the hash it has."""
    lines = (packed / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    there = files(packed)
    del there["SHA256SUMS"]
    assert listed == there


@pytest.mark.whole
def test_level_0_makes_the_paper_again_to_the_byte(packed, tmp_path) -> None:
    """The command of the README, in an empty folder that holds the bundle's data only."""
    shutil.copytree(packed / "data", tmp_path / "data")
    assert f"```\n{LEVEL_0}\n" in (packed / "README.md").read_text()
    command = LEVEL_0.replace("python", sys.executable, 1)
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "rebuilt") == files(packed / "paper")


@pytest.mark.whole
def test_the_same_run_gives_the_same_bytes(packed, planted, packing, tmp_path) -> None:
    """Also under another name, into a folder that is there already and empty."""
    (tmp_path / "other").mkdir()
    assert files(pack([planted], tmp_path / "other", packing)) == files(packed)


def test_no_name_is_left_in_any_file(packed) -> None:
    """Also not inside tables and the page, which repeat the command; what was done is told."""
    for path in packed.rglob("*"):
        if path.is_file() and path.suffix not in (".png", ".pdf", ".gz"):
            text = path.read_text()
            for secret in SECRETS:
                assert not re.search(rf"\b{re.escape(secret)}\b", text), (path, secret)
    withheld = json.loads((packed / "manifest.json").read_text())["withheld"]
    (manifest,) = (what for name, what in withheld.items() if name.endswith("manifest.json"))
    assert manifest == ["home folder", "hardware address", "address of a meter", "host name"]


def test_claims_are_those_of_the_table(packed) -> None:
    """The golden run took 1.888 of 2.411 s: the ratio stands in README and manifest."""
    claims = json.loads((packed / "manifest.json").read_text())["claims"]
    (time,) = (c for c in claims if c["quantity"] == "time")
    assert time["ratio"] == pytest.approx(1.888 / 2.411, rel=1e-3)
    readme = (packed / "README.md").read_text()
    assert "| mas:splits=2: time over that of independent |" in readme
    assert "0.7832×; n = 1, no interval" in readme
    assert "Verdict: unstable" in readme


def test_a_claim_carries_its_tolerance() -> None:
    claim = Claim("", "mas", "time", 0.62, 0.58, 0.67, 6)
    assert claim.expected == "0.62× (0.58–0.67), n = 6"


def test_weights_come_on_request_and_links_never(planted, packing, tmp_path) -> None:
    link = planted / "checkpoints" / "c" / "link.safetensors"
    link.symlink_to("/etc/hostname")
    with pytest.raises(DamagedRunError, match="neither a file nor a folder"):
        read_run(planted)
    link.unlink()
    bundle._copy_run(read_run(planted), tmp_path, Packing(True, packing.private))
    weights = [path.name for path in tmp_path.rglob("*.safetensors")]
    assert weights == ["s.safetensors"]


def test_a_table_that_is_a_link_is_refused(planted, packing, tmp_path) -> None:
    """A stranger's link could lead to a file of the one who packs."""
    shutil.copytree(planted, tmp_path / "run")
    (tmp_path / "run" / "events.jsonl").unlink()
    (tmp_path / "run" / "events.jsonl").symlink_to(planted / "events.jsonl")
    with pytest.raises(DamagedRunError, match="neither a file nor a folder"):
        pack([tmp_path / "run"], tmp_path / "out", packing)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["cells.csv", "manifest.json"])
def test_damaged_runs_are_refused_and_leave_nothing(damage, planted, packing, tmp_path) -> None:
    shutil.copytree(planted, tmp_path / "run")
    path = tmp_path / "run" / damage
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedRunError, match=r"harness\.check"):
        pack([tmp_path / "run"], tmp_path / "out", packing)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


def test_a_run_that_is_called_like_a_path_is_refused(planted, packing, tmp_path) -> None:
    """The name becomes a folder of the bundle, so it must not lead out of it."""
    shutil.copytree(planted, tmp_path / "run")
    for name in ("manifest.json", "cells.csv"):
        path = tmp_path / "run" / name
        path.write_text(path.read_text().replace("20261123-224351-x86-6d3b71b8", "../../up"))
    with pytest.raises(DamagedRunError, match=r"\.\./\.\./up"):
        pack([tmp_path / "run"], tmp_path / "deep" / "out", packing)


def test_a_run_that_goes_on_is_refused(planted, packing, tmp_path) -> None:
    shutil.copytree(planted, tmp_path / "run")
    with run_lock(tmp_path / "run"), pytest.raises(BusyError):
        pack([tmp_path / "run"], tmp_path / "out", packing)


def test_a_report_that_fails_leaves_nothing_and_says_why(
    planted, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(bundle, "REPORT", ("-c", "raise SystemExit('no ink')"))
    assert main([str(planted), "--out", str(tmp_path / "out")]) == 1
    assert "no ink" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{run}", "{run}", "--out", "{out}"], "twice"),
        (["{run}", "--out", "{full}"], "not an empty folder"),
        (["{run}"], "--out"),
        (["nix", "--out", "{out}"], "no such run"),
    ],
)
def test_wrong_use_ends_with_2(words, said, planted, tmp_path, capsys) -> None:
    places = {"run": planted, "out": tmp_path / "out", "full": ROOT / "docs"}
    assert main([word.format(**places) for word in words]) == 2
    assert said in capsys.readouterr().err


def measured_folder(out: Path, *words: str) -> tuple[Path, str]:
    """Return the bundle of what `harness.measure` measured, and its README."""
    place = out / "measured"
    subprocess.run(
        [sys.executable, "-m", "harness.measure", "--meter", "simulated", "--out", place, *words],
        check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
    )  # fmt: skip
    (folder,) = (path.parent for path in place.glob("*/manifest.json"))
    found = pack([folder], out / "bundle", Packing(private=()))
    return found, (found / "README.md").read_text()


@pytest.mark.parametrize("others", [(), ("--vs", "sleep 0.05", "--repeat", "3")], ids=" ".join)
def test_of_a_measured_command_nothing_is_promised_but_its_command(others, tmp_path) -> None:
    """There is no workload to run on tiny data, there are no losses, and maybe no intervals."""
    found, readme = measured_folder(tmp_path, *others, "--", "sleep", "0.2")
    assert "python -m harness.measure --meter simulated" in readme
    assert "-- sleep 0.2`" in readme
    for untrue in ("harness.run", "osses", "within the intervals", "training", "same seed"):
        assert untrue not in readme
    for named in re.findall(r"`(paper/[^`]+)`", readme):
        assert list(found.glob(named)), named


def test_a_program_that_opened_its_own_measurement_has_no_command(tmp_path) -> None:
    with Measurement("simulated", tmp_path / "own", rate_hz=100):
        time.sleep(0.2)
    (folder,) = (path.parent for path in (tmp_path / "own").glob("*/manifest.json"))
    readme = (pack([folder], tmp_path / "bundle", Packing(private=())) / "README.md").read_text()
    assert "| the program that was measured |" in readme
    assert "``" not in readme.replace("```", "")


def test_intervals_are_promised_only_where_there_are_some(packed) -> None:
    """The golden run has one seed."""
    assert "within the intervals" not in (packed / "README.md").read_text()


@pytest.mark.parametrize("name", ["check", "compare", "infer", "pack"])
def test_the_starts_parse_on_python_3_6(name: str) -> None:
    """So that an old Python can print what to do instead of a syntax error."""
    ast.parse((SOURCES / "harness" / f"{name}.py").read_text("utf-8"), feature_version=(3, 6))


def test_the_citation_has_version_and_licence_of_the_package() -> None:
    """Read with plain patterns, as YAML is no dependency."""
    citation = (ROOT / "CITATION.cff").read_text()
    (version,) = re.findall(r"^version: (.+)$", citation, re.M)
    (licence,) = re.findall(r"^license: (.+)$", citation, re.M)
    assert version == told_version(ROOT)
    assert f'license = "{licence}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("text", "veiled"),
    [
        ('"out": "/home/ada/results"', '"out": "~/results"'),
        (f"/Users/ada/x and {SUPERUSER_HOME}/y", "~/x and ~/y"),
        ("--cache /srv/ada's/x", "--cache ~/x"),
        ("at aa:BB:cc:00:11:22.", "at (address)."),
        ("write to ada@example.org", "write to (mail)"),
        ("plug:host=10.0.0.7,type=shelly", "plug:host=(withheld),type=shelly"),
        ("on lab-bench-7, not lab-bench-77", "on (host), not lab-bench-77"),
        ("serial 1421020049352", "serial (serial)"),
        ("results/20261123-x86 /rootless ~/root a/root", None),
        ("00:11:22 is a time; independent-s0-r0", None),
    ],
)
def test_what_is_private_is_taken_out_and_nothing_else(text, veiled, tmp_path) -> None:
    tree = tmp_path / "sys/firmware/devicetree/base"
    tree.mkdir(parents=True)
    (tree / "serial-number").write_text("1421020049352\0")
    known = rules(Path("/srv/ada's"), "lab-bench-7", tmp_path)
    found, what = veil(text, known)
    assert found == (text if veiled is None else veiled)
    assert bool(what) == (veiled is not None)


def test_common_host_names_and_empty_serials_are_no_names(tmp_path) -> None:
    """They would be found where they mean something else."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("0000000000\n")
    known = rules(Path("/"), "raspberrypi", tmp_path)
    assert veil("raspberrypi 0000000000 / x", known) == ("raspberrypi 0000000000 / x", [])


def packed_run(**changes) -> PackedRun:
    facts = {
        "run_id": "r", "workload": "multitask", "reference": "independent", "device": "board",
        "command": "python -m harness.run", "created": "", "size": "2 cells", "time_s": 120.0,
        "energy_j": 100.0, "energy_cells": 2, "energy_origin": "measured", "cells": 2,
        "data_checksum": "", "commit": "", "verdict": "ready", "check_status": 0, "findings": (),
    }  # fmt: skip
    return PackedRun(**{**facts, **changes})


@pytest.mark.parametrize(
    ("changes", "takes"),
    [
        ({}, "2 min, 100 J measured in cells"),
        ({"energy_cells": 1}, "2 min, 100 J measured in 1 of 2 cells"),
        ({"energy_origin": "made up"}, "2 min, 100 J made up in cells"),
        ({"energy_j": None, "energy_cells": 0}, "2 min"),
    ],
)
def test_joules_say_of_which_cells_they_are(changes, takes) -> None:
    assert f"| r | {takes} |" in readme([packed_run(**changes)], [], {})


def test_names_of_strangers_stay_text_in_the_readme() -> None:
    """Neither a method, a reference, a device, a finding nor a command is taken for markup."""
    image = "![x](http://evil.example/t.png)"
    run = packed_run(device=image, reference="a|b", command="run `x` a|b", findings=("# bad",),
                     workload="w; rm -rf ~")  # fmt: skip
    claim = Claim(image, f"{image}|`", "time", 0.5, None, None, 1)
    text = readme([run], [claim], {}, [f"{image} is not pooled."])
    assert "![x]" not in text
    assert r"!\[x\](http://evil.example/t.png)\|\`: time over that of a\|b" in text
    assert r"| `` run `x` a\|b `` |" in text
    assert "\n- \\# bad" in text
    assert "--workload 'w; rm -rf ~'" in text
