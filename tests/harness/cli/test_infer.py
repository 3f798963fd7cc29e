"""The command of inference is that of the run's workload."""

import json

import pytest

from harness.cli.infer import main


@pytest.fixture
def run_of(tmp_path):
    def make(workload):
        folder = tmp_path / workload
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps({"workload": workload}))
        return str(folder)

    return make


def test_a_run_of_no_known_workload_is_refused_with_the_nearest(run_of, capsys):
    assert main([run_of("multitusk")]) == 2
    assert "multitask" in capsys.readouterr().err


def test_without_a_run_the_default_workload_answers(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    assert "ONNX" in capsys.readouterr().out
