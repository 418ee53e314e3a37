"""Ctrl-C while pytest collects."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems() -> None:
    """Stops before any other plugin has seen the items."""
    raise KeyboardInterrupt
