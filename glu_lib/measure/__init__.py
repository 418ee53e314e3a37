"""Measuring: lm-eval's tasks, the suite's lm-eval model, accuracy, energy."""
