from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from glu_lib.machine.environment import Environment
from glu_lib.results.address import RecordId
from glu_lib.results.store import Store
from glu_lib.run.recorder import Recorder
from glu_lib.study import STUDY
from glu_lib.study.cases import build_cases
from glu_lib.study.settings import DType, Settings

(CASE,) = [case for case in build_cases(STUDY) if case.id == "nano-p40-facts"]
HERE = Environment(
    "cpu", DType.FLOAT32, 1, None, {"torch": "2"}, "cpu", cores=2, memory_bytes=1, gpu=None, git_commit=None
)
STATES = SimpleNamespace(done_key=lambda case: {"task": case.id}, address=lambda case: RecordId(case))


@pytest.mark.parametrize(
    ("first", "second", "goes_on"),
    [(None, None, True), ("L4", "L4", True), ("L4", "H100", False), ("L4", None, False), (None, "L4", False)],
)
def test_answers_go_on_only_on_the_same_kind_of_gpu(tmp_path, first, second, goes_on):
    store = Store(tmp_path)
    store.check_writable()
    recorders = [Recorder(Settings(), replace(HERE, gpu=gpu), store, STATES) for gpu in (first, second)]
    answers = recorders[0].journal(CASE, datetime.now(UTC))
    answers.put({"request": [1.0]})
    answers.flush()
    assert recorders[0].has_journal(CASE)
    assert recorders[1].has_journal(CASE) == goes_on
