"""The release is that of the checkout, else that of the installed package."""

from pathlib import Path

from harness.core.version import shipped_file, told_version, version

ROOT = Path(__file__).parents[3]
OURS = '[project]\nname = "mas-edge-harness"\nversion = "7.8.9"\n'


def test_a_checkout_says_its_release(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(OURS)
    assert version(tmp_path) == "7.8.9"


def test_a_project_of_somebody_else_says_nothing(tmp_path: Path) -> None:
    """Packages may be installed in a folder of another project."""
    (tmp_path / "pyproject.toml").write_text(OURS.replace("mas-edge-harness", "thesis"))
    assert told_version(tmp_path) is None
    assert version(tmp_path) != "7.8.9"


def test_what_is_shipped_is_found_without_a_checkout(tmp_path: Path) -> None:
    assert shipped_file("LICENSE", tmp_path) == tmp_path / "harness" / "shipped" / "LICENSE"
    (tmp_path / "pyproject.toml").write_text(OURS)
    (tmp_path / "LICENSE").write_text("free")
    assert shipped_file("LICENSE", tmp_path) == tmp_path / "LICENSE"
