from side_by_side import KEY, SUITE, Sampled, study_of

from glu_lib.study import STUDY, Task
from glu_lib.study.cases import build_cases
from glu_lib.study.study_file import load_study
from glu_lib.study.tasks import Metric


def test_its_study_file_is_accepted_and_gives_each_task_its_limit(tmp_path):
    subject = Task("mmlu_anatomy", Metric("acc"), num_fewshot=5)
    sampled = [Sampled(STUDY.tasks["piqa"], 50), Sampled(STUDY.tasks["mmlu"], 5), Sampled(subject, 20)]
    path = tmp_path / "study.toml"
    path.write_text(study_of("org/model", [0, 40], sampled))
    cases = [case for case in build_cases(load_study(path, STUDY).study) if case.model.key == KEY]
    tasks = {case.subject.key: case.subject for case in cases if SUITE in case.suites}
    assert {key: task.limit for key, task in tasks.items()} == {"piqa": 50, "mmlu": 5, "mmlu_anatomy": 20}
    assert tasks["mmlu_anatomy"].num_fewshot == tasks["mmlu"].num_fewshot == 5
    assert {case.pruning.percent for case in cases} == {0, 40}
