"""Accuracy: a task's requests scored by the model in memory, and what came of it."""
