"""Measure what width pruning does to GLU language models; see README.md."""

from glu_lib.errors import GluError
from glu_lib.frontends.notebook import consolidate_results, run_carbon_analysis, run_evaluation
from glu_lib.machine.environment import setup_environment
from glu_lib.study.plain_tables import BENCHMARKS_BASE, BENCHMARKS_CARBON, BENCHMARKS_INSTRUCT, EXPERIMENT_CONFIG
from glu_lib.study.settings import Settings
from glu_lib.version import __version__

__all__ = [
    "BENCHMARKS_BASE",
    "BENCHMARKS_CARBON",
    "BENCHMARKS_INSTRUCT",
    "EXPERIMENT_CONFIG",
    "GluError",
    "Settings",
    "__version__",
    "consolidate_results",
    "run_carbon_analysis",
    "run_evaluation",
    "setup_environment",
]
