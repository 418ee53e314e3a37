"""This process believes that it has another version of lm-eval."""

import importlib.metadata

import pytest

version = importlib.metadata.version
patch = pytest.MonkeyPatch()  # never undone: the process ends
patch.setattr(importlib.metadata, "version", lambda name: "0.3" if name == "lm_eval" else version(name))
