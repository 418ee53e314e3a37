"""Models: which weights a variant means, whether they are safe to load, loading, pruning."""
