"""Import the packages that single meters need, and only when such a meter is opened."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from devices.errors import DeviceError


@dataclass(frozen=True)
class Package:
    """Name a package that speaks to a driver or service of this machine.

    Attributes:
        module: What is imported.
        name: What is installed.
        fix: How it is installed.
    """

    module: str
    name: str
    fix: str

    def check(self, root: Path) -> None:
        """Look for the package without importing it.

        Raises:
            DeviceError: It is not installed, or `root` is the tree of another machine.
        """
        if root != Path("/"):
            raise DeviceError(f"{self.name} sees this machine only, not the one under {root}")
        if importlib.util.find_spec(self.module) is None:
            raise DeviceError(f"the package {self.name} is not installed", self.fix)

    def load(self, root: Path) -> ModuleType:
        """Import the package.

        Raises:
            DeviceError: As `check`, or its import fails.
        """
        self.check(root)
        try:
            return importlib.import_module(self.module)
        except ImportError as error:
            reason = f"the package {self.name} cannot be imported: {error}"
            raise DeviceError(reason, self.fix) from error
