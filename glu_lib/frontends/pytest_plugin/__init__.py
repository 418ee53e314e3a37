"""The pytest plugin: options, collection, resuming, fixtures, progress and the terminal report."""

PLUGINS = (
    "glu_lib.frontends.pytest_plugin.declared_options",
    "glu_lib.frontends.pytest_plugin.options",
    "glu_lib.frontends.pytest_plugin.collection",
    "glu_lib.frontends.pytest_plugin.hints",
    "glu_lib.frontends.pytest_plugin.resume",
    "glu_lib.frontends.pytest_plugin.progress",
    "glu_lib.frontends.pytest_plugin.interruption",
    "glu_lib.frontends.pytest_plugin.sharing",
    "glu_lib.frontends.pytest_plugin.fixtures",
    "glu_lib.frontends.pytest_plugin.summary",
    "glu_lib.frontends.pytest_plugin.workers",
    "glu_lib.frontends.pytest_plugin.cluster",
)

__all__ = ["PLUGINS"]
