"""One changed byte in any file of a finished run is seen by check, compare, report and pack."""

import json
from pathlib import Path

import pytest

from harness.cli.check import main as check
from harness.cli.compare import main as compare
from harness.core.errors import DamagedRunError
from harness.evidence.bundle import Packing, pack
from harness.evidence.judging import judge
from harness.evidence.reading import read_run
from harness.evidence.sealed import altered
from harness.run_folder.seal import seal, sealed_names

CELL = "independent-s0-r0"
WEIGHTS = f"checkpoints/{CELL}/sdnkt.safetensors"


@pytest.fixture
def run(draft) -> Path:
    """Return a finished run with its seal."""
    folder: Path = draft().fill().write()
    sealed(folder)
    return folder


def sealed(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": seal(folder)}))


def flip(path: Path, at: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def found(folder: Path) -> dict[str, str]:
    return {f.code: f"{f.level}: {f.text}" for f in altered(read_run(folder))}


def test_a_run_as_it_was_written_is_quiet(run) -> None:
    assert found(run) == {}
    assert len(sealed_names(run)) > 50


def test_a_flipped_byte_of_weights_is_seen_by_all(run, tmp_path, capsys) -> None:
    """The tensor's last byte: size and head are as they were."""
    flip(run / WEIGHTS)
    assert found(run) == {
        "checksum": f"damaged: {WEIGHTS}: not as written when the run ended (checksum differs)"
    }
    assert check([str(run)]) == 7
    a, b = f"{run}:independent", f"{run}:mas:splits=2"
    assert compare([a, b]) == 7
    assert "not as it was written" in capsys.readouterr().err
    assert compare([a, b, "--allow-damaged"]) == 0
    assert "DAMAGED" in capsys.readouterr().out
    with pytest.raises(DamagedRunError, match=r"checksum differs"):
        pack([run], tmp_path / "bundle", Packing())


def test_what_is_gone_or_came_later_is_told_apart(run) -> None:
    """A report, deployed models and a person's notes are no damage."""
    for name in ("report/index.html", "inference/manifest.json", "notes.txt", ".swap"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("later")
    assert found(run) == {"file-added": "note: notes.txt: added after the run ended"}
    (run / "affinity").mkdir()
    (run / "affinity" / "more.csv").write_text("x")
    assert found(run)["file-added"].startswith("note")
    levels = [f.level for f in altered(read_run(run)) if f.code == "file-added"]
    assert levels == ["damaged", "note"]
    (run / WEIGHTS).unlink()
    assert found(run)["file-gone"] == f"damaged: {WEIGHTS}: there when the run ended, gone now"


def test_a_copy_without_any_weights_is_whole_but_says_so(run) -> None:
    for path in run.glob("checkpoints/*/*"):
        path.unlink()
    assert found(run) == {}


def test_runs_without_checksums_load_and_say_so(draft) -> None:
    folder = draft().fill().write()
    notes = [f for f in judge(folder).findings if f.code == "no-checksums"]
    assert [note.level for note in notes] == ["note"]


@pytest.mark.parametrize("files", [[], {}, {"sums": {}}, {"algorithm": "md5", "sums": {}}, None])
def test_a_seal_of_another_form_is_damage(files, run) -> None:
    path = run / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": files}))
    assert found(run)["checksum"].startswith("damaged: manifest.json")


@pytest.mark.parametrize("name", ["../../etc/hostname", "/etc/hostname", "a\nb"])
def test_names_of_a_strangers_seal_lead_nowhere(name, run) -> None:
    """A name that is no file of the run is told as gone, and nothing outside is read."""
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["sums"][name] = "0" * 64
    path.write_text(json.dumps(manifest))
    assert "gone now" in found(run)["file-gone"]
