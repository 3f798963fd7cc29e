"""What is not to be forgotten is on the disk before it is acted on."""

import json

import pytest
import torch

from harness.core.errors import DamagedRunError
from harness.run_folder.checkpoints import CellCheckpoints

JOB = {"name": "request-1", "first_round": 0, "last_round": 1}
OTHER = {**JOB, "name": "request-2"}


@pytest.fixture
def checkpoints(tmp_path):
    """Checkpoints of a cell that has finished one job."""
    (tmp_path / "run").mkdir()
    found = CellCheckpoints(tmp_path / "run" / "checkpoints" / "cell.partial")
    line = {"job": 0, "session": 1, "segments": [], "values": []}
    found.save(0, {"name": "learn", "rounds_done": 1}, {"w": torch.zeros(2)}, [line])
    return found


def test_an_announcement_is_written_at_once_and_counted(checkpoints) -> None:
    assert checkpoints.announce(1, JOB) == 0
    lines = (checkpoints.path / "announced.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"index": 1, "job": JOB}]
    again = CellCheckpoints(checkpoints.path)
    assert [job["name"] for job in again.load().jobs] == ["learn"]
    assert again.announce(1, JOB) == 1
    assert again.announce(2, OTHER) == 0


def test_another_job_in_its_place_is_damage(checkpoints) -> None:
    checkpoints.announce(1, JOB)
    with pytest.raises(DamagedRunError, match="job 2 was begun as another one"):
        checkpoints.announce(1, OTHER)


def test_a_torn_announcement_was_never_acted_on(checkpoints) -> None:
    checkpoints.announce(1, JOB)
    path = checkpoints.path / "announced.jsonl"
    path.write_bytes(path.read_bytes() + b'{"index": 2, "jo')
    assert checkpoints.announce(2, OTHER) == 0
    assert [json.loads(x)["index"] for x in path.read_text().splitlines()] == [1, 2]


def test_what_is_no_announcement_is_damage(checkpoints) -> None:
    checkpoints.announce(1, JOB)
    (checkpoints.path / "announced.jsonl").write_text("[]\n")
    with pytest.raises(DamagedRunError, match="is not what was written"):
        checkpoints.announce(2, OTHER)
