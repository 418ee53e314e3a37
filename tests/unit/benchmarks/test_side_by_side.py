from side_by_side import KEY, Sampled, study_of

from glu_lib.study import STUDY, Task
from glu_lib.study.cases import build_cases
from glu_lib.study.study_file import load_study
from glu_lib.study.tasks import Metric


def test_its_study_file_is_accepted_and_each_suite_selects_its_own_cases(tmp_path):
    subject = Task("mmlu_anatomy", Metric("acc"), num_fewshot=5)
    sampled = [Sampled(STUDY.tasks["piqa"], 50), Sampled(STUDY.tasks["mmlu"], 5), Sampled(subject, 50)]
    text, suites = study_of("org/model", [0, 40], sampled)
    path = tmp_path / "study.toml"
    path.write_text(text)
    cases = [case for case in build_cases(load_study(path, STUDY).study) if case.model.key == KEY]
    assert suites == ["limit_5", "limit_50"]
    chosen = {name: {case.subject_key for case in cases if name in case.suites} for name in suites}
    assert chosen == {"limit_5": {"mmlu"}, "limit_50": {"piqa", "mmlu_anatomy"}}
    assert {case.pruning.percent for case in cases} == {0, 40}
