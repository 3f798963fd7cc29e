"""Test suite; a package, so that another installed package named `tests` does not hide it."""
