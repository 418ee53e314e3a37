"""What only a GPU has, from a fake driver; vLLM from a fake module."""

import sys
from types import SimpleNamespace

import pytest
import torch
from gpu_parts import vllm_engine
from gpu_parts.machine import describe
from gpu_parts.plan import GSM8K, Part, Unit
from gpu_parts.vllm_engine import measure_vllm

from glu_lib.study.settings import DType


@pytest.fixture
def driver(monkeypatch):
    found = SimpleNamespace(NVMLError=KeyError, nvmlInit=lambda: None, nvmlSystemGetDriverVersion=lambda: "570.1")
    monkeypatch.setitem(sys.modules, "pynvml", found)
    properties = SimpleNamespace(total_memory=150 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    return found


def test_a_record_says_gpu_memory_driver_and_cuda(driver, make_setup):
    found = describe(make_setup().environment)
    assert (found["gpu"], found["gpu_memory_bytes"], found["driver"]) == ("NVIDIA H200", 150 * 2**30, "570.1")
    assert found["cuda"] == torch.version.cuda
    assert (found["threads"], found["versions"]["vllm"]) == (None, None)


def test_a_driver_that_does_not_answer_is_null(driver, make_setup):
    driver.nvmlInit = lambda: {}["no driver"]
    assert describe(make_setup().environment)["driver"] is None


def test_on_a_processor_what_a_gpu_has_is_null(make_setup):
    found = describe(make_setup(gpu=None).environment)
    assert [found[name] for name in ("gpu", "gpu_memory_bytes", "driver")] == [None, None, None]
    assert found["threads"] == torch.get_num_threads()


UNIT = Unit(Part.VLLM, "llama1b", GSM8K)


@pytest.fixture
def bench(make_setup):
    from gpu_parts.networks import architecture

    return SimpleNamespace(
        setup=make_setup(is_tiny=True),
        device=torch.device("cpu"),
        dtype=DType.BFLOAT16,
        rates=None,
        shape=lambda key: architecture(key, is_tiny=True),
    )


def test_without_vllm_the_record_says_so(bench):
    assert measure_vllm(bench, UNIT) == {"installed": None}


def test_vllm_answers_the_decoders_prompts_as_tokens(bench, monkeypatch, tmp_path):
    made, asked = {}, []

    class LLM:
        def __init__(self, **options):
            made.update(options, config=(tmp_path / options["model"] / "config.json").read_text())

        def generate(self, prompts, params, use_tqdm):
            asked.append((len(prompts), [len(prompt["prompt_token_ids"]) for prompt in prompts], params["max_tokens"]))

    module = SimpleNamespace(LLM=LLM, SamplingParams=dict)
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(vllm_engine, "vllm_version", lambda: "0.16.0")
    clock = iter(range(1000))
    monkeypatch.setattr(vllm_engine, "call_seconds", lambda device, work: (work(), next(clock) + 10 * asked[-1][2])[1])
    found = measure_vllm(bench, UNIT)
    assert (found["installed"], found["shape"]["rows"]) == ("0.16.0", 4)
    assert asked == [(4, [660] * 4, tokens) for tokens in (4, 4, 36, 4, 36, 4, 36)]  # warm-up, then three rounds
    assert found["prompt_tokens"] == 600 + 4 * 60
    assert found["vllm"]["step_s"] == pytest.approx((362 - 41) / 32)
    assert (made["dtype"], made["load_format"], made["skip_tokenizer_init"]) == ("bfloat16", "dummy", True)
    assert '"LlamaForCausalLM"' in made["config"]
