"""lm-eval's tasks: found, checked against the study, loaded once."""
