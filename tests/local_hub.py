"""The local hub of the system tests: real data and small real models, outside of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HUB = Path(os.environ.get("GLU_TEST_HUB", ROOT.parent / "shared/hub"))
SERVER = Path(os.environ.get("GLU_TEST_HUB_SERVER", ROOT.parent / "shared/tools/hub_server.py"))

NEEDS_HUB = pytest.mark.skipif(
    not (HUB.is_dir() and SERVER.is_file()),
    reason="no local hub: name one with GLU_TEST_HUB and its server with GLU_TEST_HUB_SERVER",
)
