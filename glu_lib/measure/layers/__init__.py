"""The layer scan: what pruning each layer costs."""
