"""vLLM on the prompts of the decoder, if it is installed: random weights of the same shape, the same tokens.

Written against vLLM's documented interface (`LLM`, `SamplingParams`, prompts as token ids); not tried with it yet.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glu_lib.measure.scoring.packing import distinct_tokens
from glu_lib.models.shapes import config_of
from glu_lib.study.architecture import Architecture
from gpu_parts.bench import Bench
from gpu_parts.decoder import Decoding, decoding
from gpu_parts.machine import vllm_version
from gpu_parts.networks import word_tokenizer, words
from gpu_parts.plan import Unit
from gpu_parts.timing import call_seconds

_CONTEXT = 2048  # tokens; the longest prompt and answer are below half of it
_MEMORY_SHARE = 0.7  # of the GPU's memory, which vLLM fills with its cache beforehand


def measure_vllm(bench: Bench, unit: Unit) -> dict[str, Any]:
    """Seconds per step and share of the floor, measured as the decoder's; `installed` is None without vLLM.

    vLLM draws random weights of its own (`load_format="dummy"`), so that texts cannot be compared.
    """
    assert unit.model is not None
    assert unit.shape is not None
    if (version := vllm_version()) is None:
        return {"installed": None}
    from vllm import LLM

    model, work = bench.shape(unit.model), decoding(bench, unit.shape)
    with tempfile.TemporaryDirectory() as folder:
        _write_config(Path(folder), model, str(bench.dtype))
        llm = LLM(
            model=folder,
            skip_tokenizer_init=True,
            load_format="dummy",
            dtype=str(bench.dtype),
            max_model_len=_CONTEXT,
            gpu_memory_utilization=_MEMORY_SHARE,
            seed=0,
        )
        return {"installed": version, **_figures(bench, llm, model, work)}


def _figures(bench: Bench, llm: Any, model: Architecture, work: Decoding) -> dict[str, Any]:
    from vllm import SamplingParams

    tokenizer, vocabulary = word_tokenizer(model), words(model)

    def encoded(requests: Sequence[Any]) -> list[list[int]]:
        return [tokenizer(request.args[0])["input_ids"] for request in requests]

    def answer(requests: Sequence[Any]) -> float:
        new_tokens = requests[0].args[1]["max_gen_toks"]
        params = SamplingParams(temperature=0.0, max_tokens=new_tokens, ignore_eos=True, detokenize=False)
        prompts = [{"prompt_token_ids": tokens} for tokens in encoded(requests)]
        return call_seconds(bench.device, lambda: llm.generate(prompts, params, use_tqdm=False))

    answer(work.requests(vocabulary, work.rounds, work.short))  # warm-up, with prompts of its own
    times_s = work.time(answer, vocabulary)
    cached = distinct_tokens(set(map(tuple, encoded(work.requests(vocabulary, 0, work.long)))))
    return {
        "dtype": str(bench.dtype),
        "shape": {"name": work.shape.name, "rows": work.rows, "new_tokens": work.long},
        "prompt_tokens": cached,
        "vllm": work.figures(times_s, model, cached, bench.rates, bench.dtype),
    }


def _write_config(folder: Path, model: Architecture, dtype: str) -> None:
    config: Any = config_of(model)
    config.architectures = ["LlamaForCausalLM"]
    config.dtype = dtype
    config.save_pretrained(folder)
