"""pytest at the edge: options, collection, resume, fixtures, progress and the terminal report."""

PLUGINS = (
    "glu_lib.pytest_plugin.options",
    "glu_lib.pytest_plugin.collection",
    "glu_lib.pytest_plugin.hints",
    "glu_lib.pytest_plugin.resume",
    "glu_lib.pytest_plugin.progress",
    "glu_lib.pytest_plugin.interruption",
    "glu_lib.pytest_plugin.sharing",
    "glu_lib.pytest_plugin.fixtures",
    "glu_lib.pytest_plugin.summary",
    "glu_lib.pytest_plugin.workers",
)

__all__ = ["PLUGINS"]
