import json
import re

import pytest
from gpu_parts.markup import Share, document, number, table
from gpu_parts.page import gpu_energy_per_token_j, page, warning, write_page
from gpu_parts.plan import Part, units
from gpu_parts.records import Records

MACHINE = {"driver": "570.1", "cuda": "12.8", "gpu_memory_bytes": 141 * 2**30, "versions": {"torch": "2.13.0"}}
SIDE = {
    "fastest_s": 1.5,
    "rounds_s": [2.5, 1.5],
    "tokens_per_s": 20_000.0,
    "product_share": 0.42,
    "peak_bytes": 3 * 2**30,
    "batch_size": 32,
}
STEP = {"step_s": 0.004, "floor_s": 0.003, "floor_share": 0.75, "prompts_s": 0.2, "tokens_per_s": 8000.0}
FIGURES = {
    "rates": {
        "matmul": {"bfloat16": {"flop_per_s": 7.0e14}, "float16": {"flop_per_s": None}},
        "copy_bytes_per_s": 4.1e12,
        "launch_s": 2.5e-6,
    },
    "scorer-llama1b-hellaswag": {
        "shape": {"name": "hellaswag", "requests": 160},
        "least_tokens": 7200,
        "ours": SIDE,
        "hflm": SIDE | {"fastest_s": 6.0, "batch_size": 8, "peak_bytes": None},
        "times_faster": 4.0,
        "largest_relative_difference": 0.00123,
    },
    "decoder-llama1b-ifeval": {
        "shape": {"rows": 32},
        "ours": STEP | {"peak_bytes": 2**30},
        "hflm": STEP | {"peak_bytes": 2**30, "floor_share": None, "floor_s": None},
        "equal_texts": 31,
        "texts": 32,
    },
    "equal-llama1b": {
        "is_equal": False,
        "shapes": {"boolq": {"requests": 6, "largest_relative_difference": 0.5, "equal": 5}},
    },
    "kill-llama1b": {
        "requests": 400,
        "whole_s": 9.0,
        "killed_after_s": 4.0,
        "kept_answers": 123,
        "resumed_s": 6.5,
        "repeated_tokens": 321,
        "repeated_share": 0.0215,
        "equal_scores": 400,
    },
    "vllm-llama1b-gsm8k_5shot": {"installed": None},
    "vllm-llama1b-ifeval": {"installed": "0.16.0", "shape": {"rows": 32}, "vllm": STEP | {"step_s": 0.005}},
}
UNITS = {unit.key: unit for unit in units(("llama1b", "llama3b"), tuple(Part))}


@pytest.fixture
def written(make_setup):
    """A setup of which some units are done, one failed, and the rest is left."""
    setup = make_setup()
    records = Records(setup.output)
    for key, measured in FIGURES.items():
        records.done(UNITS[key], MACHINE, 12.3, measured)
    records.failed(UNITS["scorer-llama3b-boolq"], MACHINE, 1.0, "OutOfMemoryError: <CUDA> out of memory")
    record = {
        "case": {"model": "llama1b", "level": "p40", "subject": "ifeval_latency_b1"},
        "profile": {
            name: {"mean": mean}
            for name, mean in (
                *(("time_to_first_token_ms", 21.0), ("time_per_output_token_ms", 11.5), ("tokens_per_s", 87.0)),
                *(("energy_per_token_j", 1.25), ("net_energy_per_token_j", None)),
            )
        },
        "repeats": [
            {
                "new_tokens": 200,
                "energy": {"gpu": {"source": "nvml", "energy_j": 100.0}, "quality": "estimated"},
                "conditions": {"exclusive": False},
            }
        ],
        "pruning": {"width": 4915},
    }
    path = setup.output / "energy/random_weights/individual_files/llama1b/p40/case.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    return setup, records


def rows(html, title):
    """The text of each row of a section's table, cells divided by bars."""
    section = html.split(f"<h2>{title}</h2>")[1].split("<h2>")[0]
    found = re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)[1:]
    return ["|".join(re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<td.*?</td>", row)) for row in found]


def test_each_section_shows_its_figures(written):
    html = page(*written)
    assert rows(html, "The machine&#x27;s own rates") == [
        *("matrix products, bfloat16|700|TFLOP/s", "matrix products, float16|–|TFLOP/s"),
        *("copying, bytes read and written|4,100|GB/s", "starting a kernel|2.5|µs"),
    ]
    assert rows(html, "Log-likelihoods") == [
        "llama1b|hellaswag|160|7,200|1.5|2.5|6|4|20,000|42 %|42 %|3.00 / –|32 / 8|1.2e-03"
    ]
    assert rows(html, "Decoding") == [
        "llama1b|gsm8k_5shot|vLLM: not installed|–|–|–|–|–|–|–|–",
        "llama1b|ifeval|ours|32|4|3|75 %|0.2|8,000|1.00|31 of 32",
        "llama1b|ifeval|HFLM|32|4|–|–|0.2|8,000|1.00|31 of 32",
        "llama1b|ifeval|vLLM 0.16.0|32|5|3|75 %|0.2|8,000|–|–",
    ]
    assert rows(html, "The same values, float32") == ["llama1b|boolq|5.0e-01|5 of 6"]
    assert "llama1b: NOT equal" in html
    assert rows(html, "kill -9 in the middle of MMLU-shaped work") == ["llama1b|400|9|4|123|6.5|321|2.1 %|400 of 400"]
    assert rows(html, "Energy, random weights") == [
        "llama1b|ifeval_latency_b1|p40|4,915|21|11.5|87|0.5|nvml|1.25|–|estimated|no"
    ]


def test_what_is_missing_or_failed_is_said(written):
    html = page(*written)
    assert "Not measured yet." in html.split("<h2>Aligned widths, random weights</h2>")[1]
    found = rows(html, "Parts")
    assert "scorer-llama3b-boolq|failed|OutOfMemoryError: &lt;CUDA&gt; out of memory" in found
    assert "energy-llama1b|left for the next call|–" in found
    assert len(found) == 26


def test_a_call_of_one_part_shows_what_earlier_calls_measured(written, make_setup):
    _, records = written
    setup = make_setup(parts=(Part.ALIGNMENT,), models=("llama3b",))
    found = rows(page(setup, records), "Parts")
    assert len(found) == len(FIGURES) + 2  # the one that failed, and the one of this call
    assert found[-1] == "alignment-llama3b|left for the next call|–"
    assert len(rows(page(setup, records), "Decoding")) == 4


def test_the_machine_stands_above_the_figures(written):
    html = page(*written)
    assert "<h1>Measured on NVIDIA H200</h1>" in html
    top = html.split("<h2>")[0]
    assert all(text in top for text in ("570.1, 12.8", "141 GiB", "Some Processor, 16 cores", "bfloat16"))
    assert 'class="warning"' not in top


@pytest.mark.parametrize(
    ("gpu", "is_tiny", "text"),
    [
        ("NVIDIA H200", False, None),
        ("NVIDIA H200", True, "A trial of the script on tiny shapes, on a GPU (NVIDIA H200). These figures are no"),
        (None, True, "A trial of the script on tiny shapes, on a processor (Some Processor). These figures are no"),
        (None, False, "Measured on a processor (Some Processor), one thread. Nothing here says how fast a GPU is."),
    ],
)
def test_a_trial_or_a_processor_is_said_before_the_first_number(make_setup, gpu, is_tiny, text):
    setup = make_setup(gpu=gpu, is_tiny=is_tiny)
    found = warning(setup)
    assert found == text if text is None else found.startswith(text)
    before = page(setup, Records(setup.output)).split("<table>")[0]
    assert ('class="warning"' in before) == (text is not None)


def test_the_json_holds_all_records_and_what_is_left(written):
    setup, records = written
    assert write_page(setup, records) == setup.output / "gpu.html"
    found = json.loads((setup.output / "gpu.json").read_text())
    assert found["setup"] == {"device": "NVIDIA H200", "dtype": "bfloat16", "torch": "2.13.0", "tiny": False}
    assert found["parts"]["rates"]["measured"] == FIGURES["rates"]
    assert len(found["left"]) + len(found["parts"]) == 26


def test_the_page_needs_no_other_file(written):
    assert not re.search(r"(src|href)=|@import|url\(", page(*written))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0.0"), (7, "7"), (12345, "12,345"), (12345.6, "12,300"), (0.01234, "0.0123"), (99.96, "100")],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_a_repeat_without_the_gpus_joules_leaves_no_mean():
    known, unknown = ({"new_tokens": 10, "energy": {"gpu": {"energy_j": joules}}} for joules in (5.0, None))
    assert gpu_energy_per_token_j([known, known]) == 0.5
    assert gpu_energy_per_token_j([known, unknown]) is None


def test_a_bar_is_as_long_as_its_share():
    assert "width:42%" in table(("a", "b"), [["x", Share(0.42)]])
    assert "width:100%" in table(("a", "b"), [["x", Share(1.3)]])
    assert "<title>a &lt; b</title>" in document("a < b", "")
