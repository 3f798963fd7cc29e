"""The whole command `--resume` reaches nothing that only a stranger's manifest names."""

import json
import shutil
import socket
from pathlib import Path

import pytest

from harness.cli.run import main
from harness.core.errors import ConfigChangedError

COUNTER = Path(__file__).parents[2] / "fixtures" / "runs" / "counter"


@pytest.fixture
def strangers(tmp_path: Path):
    """Return what writes an interrupted run whose configuration says something else."""

    def write(**own: object) -> Path:
        folder = Path(shutil.copytree(COUNTER, tmp_path / "results" / "theirs"))
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text()) | {"status": "interrupted"}
        manifest["config"] |= own
        path.write_text(json.dumps(manifest))
        return folder

    return write


def test_no_meter_of_theirs_is_asked(strangers, tmp_path: Path, capsys) -> None:
    """The address is one of this machine here, so that a call would be heard."""
    secret = tmp_path / "secret"
    secret.write_text("do not send\n")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        meter = f"plug:host={host},password_file={secret}"
        status = main(["--resume", str(strangers(meter=meter))])
        with pytest.raises(TimeoutError):
            listening.accept()
    told = capsys.readouterr().err
    assert status == ConfigChangedError.exit_status
    assert f"--meter {meter}" in told
    assert "may be somebody else's" in told


@pytest.mark.parametrize(
    ("key", "option"),
    [("board_python", "--board-python"), ("data", "--data"), ("cache", "--cache")],
)
def test_no_program_or_folder_of_theirs_is_touched(
    strangers, tmp_path: Path, capsys, key: str, option: str
) -> None:
    """The program would leave a file, a cache or data set would be looked into."""
    mark = tmp_path / "mark"
    program = tmp_path / "evil"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    before = sorted(tmp_path.rglob("*"))
    folder = strangers(**{key: str(program)})
    there = sorted(folder.rglob("*"))
    assert main(["--resume", str(folder)]) == ConfigChangedError.exit_status
    assert f"{option} {program}" in capsys.readouterr().err
    assert not mark.exists()
    assert sorted(folder.rglob("*")) == there
    assert set(before) <= set(tmp_path.rglob("*"))
