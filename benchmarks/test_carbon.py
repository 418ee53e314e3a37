"""Energy, latency and throughput of generation workloads; runs only with `-m carbon` or `-m alignment`."""

import pytest


@pytest.mark.cases_of("energy")
def test_carbon(case, prepared, run_case, time_passes):
    """Each repeat counts the tokens that it must generate, and its energy per token is positive or null."""
    record = run_case(case, prepared)
    for repeat in record["repeats"]:
        assert repeat["new_tokens"] == repeat["passes"] * repeat["rows"] * case.subject.new_tokens
        assert repeat["energy_per_token_j"] is None or repeat["energy_per_token_j"] > 0
    time_passes(case, prepared, record)
