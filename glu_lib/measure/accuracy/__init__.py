"""Accuracy: score a task with a model in memory, and check the results."""
