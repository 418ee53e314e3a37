"""Loads the suite's pytest plugin; all hooks and fixtures live in glu_lib/pytest_plugin/."""

from glu_lib.pytest_plugin import PLUGINS

pytest_plugins = PLUGINS
