"""A fleet whose devices train unlike networks: the same bits as here, each device its own meter."""

import pytest
import torch

from harness.cli.run import main as run
from harness.core.schema import SERVER_PHASES
from harness.evidence.judging import judge
from tests.harness.fleet.rig import Rig, rows, weights

pytest.importorskip("flwr")
pytestmark = pytest.mark.whole

OPTIONS = {
    "workload": "personalized", "clients": 2, "families": "tiny,small", "images": 300,
    "public-share": 0.4, "rounds": 2, "epochs": 1, "idle-s": 0.2, "threads": 1,
    "methods": "pfedclub:groups=2,tune=1",
}  # fmt: skip


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The same run over two devices and here: folder of each."""
    folder = tmp_path_factory.mktemp("unlike")
    rig = Rig(folder, folder / "cache")
    rig.options = OPTIONS
    try:
        rig.server()
        for index in range(2):
            rig.node(index)
        assert rig.finish() == 0, rig.log()
    finally:
        rig.stop()
    words = [f"--{name}={value}" for name, value in OPTIONS.items()]
    here = folder / "here"
    more = ["--meter=none", "--cool-down=off", "--no-report", f"--out={here}"]
    assert run([*words, *more]) == 0
    (found,) = (path for path in here.iterdir() if path.is_dir())
    return rig.run, found


def test_unlike_networks_are_the_same_to_the_last_bit(pair) -> None:
    one, other = (weights(folder) for folder in pair)
    assert one.keys() == other.keys()
    for file, tensors in one.items():
        assert {t.shape for t in tensors.values()}
        assert all(torch.equal(value, other[file][name]) for name, value in tensors.items())
    there, here = (rows(folder, "cells") for folder in pair)
    for column in ("objective_value", "upload_bytes", "download_bytes"):
        assert [r[column] for r in there] == [r[column] for r in here]


def test_each_device_meters_itself_and_the_server_has_rows_of_its_own(pair) -> None:
    there, _ = pair
    cell = next(r for r in rows(there, "cells") if r["method"].startswith("pfedclub"))
    mine = [r for r in rows(there, "devices") if r["cell"] == cell["cell"]]
    trained = {(r["device"], r["client"]) for r in mine if r["phase"] == "train"}
    assert trained == {("n0", "0"), ("n1", "1")}
    assert {"train", "distil"} <= {r["phase"] for r in mine}
    joules = sum(float(r["energy_j"]) for r in mine if r["phase"] in ("train", "distil"))
    assert float(cell["energy_j"]) == pytest.approx(joules)
    own = [r for r in rows(there, "phases")
           if r["cell"] == cell["cell"] and r["phase"] in SERVER_PHASES]  # fmt: skip
    assert {r["client"] for r in own} == {""}
    clients = rows(there / "personalized", f"{cell['cell']}_clients")
    assert [r["device"] for r in clients] == ["n0", "n1"]
    assert [r["family"] for r in clients] == ["tiny", "small"]
    assert all(int(r["peak_memory_bytes"]) > 0 for r in clients)
    assert sum(float(r["energy_j"]) for r in clients) == pytest.approx(joules)
    assert not [f for f in judge(there).findings if f.level == "damaged"]
