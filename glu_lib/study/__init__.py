"""The study: which models, levels, tasks, workloads and suites there are."""

from glu_lib.study.builtin import STUDY
from glu_lib.study.schema import Kind, Method, Metric, ModelVariant, Study, Suite, Task, Workload
from glu_lib.study.study_file import StudyFile, load_study

__all__ = [
    "STUDY",
    "Kind",
    "Method",
    "Metric",
    "ModelVariant",
    "Study",
    "StudyFile",
    "Suite",
    "Task",
    "Workload",
    "load_study",
]
