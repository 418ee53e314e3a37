"""Run a study: find the cases to measure, prepare each model once, measure each case and record it."""
