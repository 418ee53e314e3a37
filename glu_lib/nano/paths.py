"""Paths of the embedded model and its tasks."""

from pathlib import Path

PACKAGE_DIR = Path(__file__).resolve().parent
MODEL_DIR = PACKAGE_DIR / "model"
TASKS_DIR = PACKAGE_DIR / "tasks"
