"""Importing torch fails: runs that load no model must not need it.

A finder, not an empty entry in sys.modules: scipy looks there to see what kind of array it was given.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType


class NoTorch(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds torch and does not load it."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A module of this loader's for torch alone."""
        return importlib.machinery.ModuleSpec(name, self) if name == "torch" else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Says why not."""
        raise ImportError("this run must not need torch")


assert "torch" not in sys.modules
sys.meta_path.insert(0, NoTorch())
