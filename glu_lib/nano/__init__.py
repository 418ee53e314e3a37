"""The embedded test instrument `nano`: where its weights and its tasks lie."""

from glu_lib.nano.paths import MODEL_DIR, TASKS_DIR

__all__ = ["MODEL_DIR", "TASKS_DIR"]
