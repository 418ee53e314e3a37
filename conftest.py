"""Loads the suite's pytest plugin; all hooks and fixtures live in glu_lib/frontends/pytest_plugin/."""

from glu_lib.frontends.pytest_plugin import PLUGINS

pytest_plugins = PLUGINS
