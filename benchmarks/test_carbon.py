"""Energy, latency and throughput of generation workloads; runs only with `-m carbon`, `alignment` or `serving`."""

import pytest

from glu_lib.frontends.pytest_plugin.fixtures import RunCase, TimePasses
from glu_lib.measure.prepared import PreparedModel
from glu_lib.study import Saturation, Workload
from glu_lib.study.cases import Case


@pytest.mark.cases_of("energy")
def test_carbon(case: Case, prepared: PreparedModel, run_case: RunCase, time_passes: TimePasses) -> None:
    """Each repeat counts the tokens that it must generate, and its energy per token is positive or null."""
    assert isinstance(case.subject, Workload)
    record = run_case(case, prepared)
    for repeat in record.repeats:
        assert repeat.new_tokens == repeat.passes * repeat.rows * case.subject.new_tokens
        assert repeat.energy_per_token_j is None or repeat.energy_per_token_j > 0
    time_passes(case, prepared, record)


@pytest.mark.cases_of("serving")
def test_serving(case: Case, prepared: PreparedModel, run_case: RunCase) -> None:
    """The batch doubles from 1; each repeat counts its tokens, and its energy per token is positive or null."""
    assert isinstance(case.subject, Saturation)
    record = run_case(case, prepared)
    assert [batch.batch_size for batch in record.batches] == [2**power for power in range(len(record.batches))]
    for repeat in (repeat for batch in record.batches for repeat in batch.repeats):
        assert repeat.new_tokens == repeat.passes * repeat.rows * case.subject.new_tokens
        assert repeat.energy_per_token_j is None or repeat.energy_per_token_j > 0
