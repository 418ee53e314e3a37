"""The study: which models, levels, tasks, workloads and suites there are."""

from glu_lib.study.builtin import STUDY
from glu_lib.study.methods import Method
from glu_lib.study.schema import Study, Suite
from glu_lib.study.study_file import StudyFile, load_study
from glu_lib.study.tasks import CHAT_DATE, CONTEXT, NO_TEMPLATE, Metric, PromptFormat, Task
from glu_lib.study.variants import Control, ModelVariant, VariantKind
from glu_lib.study.workloads import AnyWorkload, LayerScan, Saturation, Workload

__all__ = [
    "CHAT_DATE",
    "CONTEXT",
    "NO_TEMPLATE",
    "STUDY",
    "AnyWorkload",
    "Control",
    "LayerScan",
    "Method",
    "Metric",
    "ModelVariant",
    "PromptFormat",
    "Saturation",
    "Study",
    "StudyFile",
    "Suite",
    "Task",
    "VariantKind",
    "Workload",
    "load_study",
]
