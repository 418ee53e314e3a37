"""The study: which models, levels, tasks, workloads and suites there are."""

from glu_lib.study.builtin import STUDY
from glu_lib.study.methods import Method
from glu_lib.study.schema import (
    CHAT_DATE,
    NO_TEMPLATE,
    Control,
    LayerScan,
    Metric,
    ModelVariant,
    PromptFormat,
    Study,
    Suite,
    Task,
    VariantKind,
    Workload,
)
from glu_lib.study.study_file import StudyFile, load_study

__all__ = [
    "CHAT_DATE",
    "NO_TEMPLATE",
    "STUDY",
    "Control",
    "LayerScan",
    "Method",
    "Metric",
    "ModelVariant",
    "PromptFormat",
    "Study",
    "StudyFile",
    "Suite",
    "Task",
    "VariantKind",
    "Workload",
    "load_study",
]
