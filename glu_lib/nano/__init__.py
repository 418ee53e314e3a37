"""The embedded model `nano`, a small test instrument that ships with the package, and its tasks."""

from glu_lib.nano.paths import MODEL_DIR, TASKS_DIR

__all__ = ["MODEL_DIR", "TASKS_DIR"]
