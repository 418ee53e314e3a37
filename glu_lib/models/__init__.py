"""Models: identify and check the weights of a variant, load and prune them."""
