"""Measuring: tasks, the lm-eval model, accuracy, energy, and the prepared model that all of them share."""
