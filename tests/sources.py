"""Find the sources under test: those of this tree, or of the installed package."""

from pathlib import Path

import harness

SOURCES = Path(harness.__file__).resolve().parents[1]
