"""Scoring at the speed of distinct tokens: packing of shared prefixes, and the lm-eval model that uses it."""
