from gpu_parts.plan import Part, batches, units


def test_rates_come_first_and_the_kill_once():
    keys = [unit.key for unit in units(("llama1b", "llama3b"), tuple(Part))]
    assert keys[:2] == ["rates", "scorer-llama1b-hellaswag"]
    assert [key for key in keys if key.startswith("kill")] == ["kill-llama1b"]
    assert [key for key in keys if key.startswith("vllm")] == [
        *("vllm-llama1b-gsm8k_5shot", "vllm-llama1b-ifeval"),
        *("vllm-llama3b-gsm8k_5shot", "vllm-llama3b-ifeval"),
    ]
    assert len(keys) == len(set(keys)) == 26


def test_a_process_measures_units_of_one_part_and_model():
    found = list(batches(units(("llama1b", "llama3b"), (Part.SCORER, Part.ENERGY))))
    assert [len(batch) for batch in found] == [5, 1, 5, 1]
    assert [batch[0].key for batch in found[1::2]] == ["energy-llama1b", "energy-llama3b"]


def test_only_chosen_parts_in_their_order():
    assert [unit.key for unit in units(("llama3b",), (Part.KILL, Part.RATES))] == ["rates", "kill-llama3b"]
