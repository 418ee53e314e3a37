import dataclasses

import torch
from transformers import AutoTokenizer

from glu_lib.measure.energy.prompts import random_batches
from glu_lib.models.loading import LoadedModel
from glu_lib.nano import MODEL_DIR
from glu_lib.study import STUDY

WORKLOAD = dataclasses.replace(STUDY.workloads["prefill_b8"], num_prompts=20, prompt_tokens=300)


def test_random_prompts_have_the_length_asked_and_no_special_token(tiny_llama):
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    batches = random_batches(LoadedModel(tiny_llama, tokenizer, 0.0), WORKLOAD, seed=42, limit=None)
    assert [tuple(batch["input_ids"].shape) for batch in batches] == [(8, 300), (8, 300), (4, 300)]
    tokens = torch.cat([batch["input_ids"] for batch in batches])
    wanted = set(range(tiny_llama.config.vocab_size)) - set(tokenizer.all_special_ids)
    assert set(tokens.flatten().tolist()) == wanted  # 6,000 draws of some thirty tokens: each comes up
    assert all(bool(batch["attention_mask"].all()) for batch in batches)


def test_random_prompts_follow_the_seed_and_the_limit(tiny_llama):
    loaded = LoadedModel(tiny_llama, AutoTokenizer.from_pretrained(MODEL_DIR), 0.0)
    first, again, other = (random_batches(loaded, WORKLOAD, seed, limit=3)[0]["input_ids"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (3, 300)
