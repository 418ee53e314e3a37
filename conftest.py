"""Loads the suite's pytest plugin; its hooks and fixtures are in glu_lib/frontends/pytest_plugin/."""

from glu_lib.frontends.pytest_plugin import PLUGINS

pytest_plugins = PLUGINS
