import pytest
from made_records import made_record

from glu_lib.analysis.efficiency import efficiencies


def part(energy_j, quality="estimated"):
    return {"energy_j": energy_j, "quality": quality if energy_j else None, "source": "nvml" if energy_j else None}


def record(repeats):
    names = ("energy_per_token_j", "net_energy_per_token_j", "energy_per_response_j", "tokens_per_s")
    times = ("time_to_first_token_ms", "time_per_output_token_ms")
    return {
        "kind": "energy",
        "case": {"model": "nano", "method": "PPM", "divisor": None, "percent": 40, "subject": "facts_latency_b1"},
        "done_key": {"limit": None},
        "pruning": {"width": 308, "expansion_ratio": 308 / 128},
        "environment": {"gpu": None, "cpu": "some cpu"},
        "weights": "real",
        "idle": None,
        "profile": {name: {"mean": place} for place, name in enumerate((*names, *times))},
        "repeats": [
            {
                "new_tokens": tokens,
                "energy": {"quality": "estimated", "gpu": part(gpu, "measured"), "cpu": part(cpu), "ram": part(10.0)},
            }
            for tokens, gpu, cpu in repeats
        ],
    }


def made(repeats):
    return made_record(record(repeats), "energy")


def test_each_part_is_divided_by_the_tokens_of_its_own_window():
    (found,) = efficiencies([made([(100, 50.0, 20.0), (200, 50.0, 20.0)])])
    assert found.gpu_energy_per_token_j == pytest.approx((0.5 + 0.25) / 2)
    assert found.cpu_energy_per_token_j == pytest.approx((0.2 + 0.1) / 2)
    assert (found.gpu_quality, found.cpu_quality, found.energy_quality) == ("measured", "estimated", "estimated")
    assert (found.energy_per_token_j, found.time_per_output_token_ms, found.device) == (0, 5, "some cpu")


def test_a_part_that_was_not_read_in_one_repeat_has_no_mean():
    (found,) = efficiencies([made([(100, 50.0, 20.0), (100, None, 20.0)])])
    assert found.gpu_energy_per_token_j is None
    assert found.cpu_energy_per_token_j == pytest.approx(0.2)
