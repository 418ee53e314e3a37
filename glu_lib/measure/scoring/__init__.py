"""The suite's lm-eval model, which computes each shared prefix of requests once."""
