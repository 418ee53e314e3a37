"""Energy, latency and throughput of generation workloads; only run when asked for with `-m carbon`."""

import pytest


@pytest.mark.cases_of("energy")
def test_carbon(case, prepared, run_case, time_passes):
    """Each repeat generated the tokens it counts, and energy per token is a real figure or null."""
    record = run_case(case, prepared)
    for repeat in record["repeats"]:
        assert repeat["new_tokens"] == repeat["passes"] * repeat["rows"] * case.subject.new_tokens
        assert repeat["energy_per_token_j"] is None or repeat["energy_per_token_j"] > 0
    time_passes(case, prepared, record)
