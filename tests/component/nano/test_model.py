"""The committed model: its shape, its files, what it knows; and that training learns."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from glu_lib.nano import MODEL_DIR
from glu_lib.nano.network import new_network
from glu_lib.nano.probe import probe
from glu_lib.nano.tokenizer import build_tokenizer, vocabulary
from glu_lib.nano.train import Recipe, batches, learning_rate_factor, main, save, train
from glu_lib.nano.world import build_world

PARAMETERS = 1_054_848


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    loaded = AutoTokenizer.from_pretrained(MODEL_DIR)
    assert isinstance(loaded, PreTrainedTokenizerFast)
    return loaded


@pytest.fixture(scope="module")
def network() -> LlamaForCausalLM:
    loaded = AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=torch.float32)
    assert isinstance(loaded, LlamaForCausalLM)
    return loaded


def test_the_weights_are_small_bfloat16_and_readable() -> None:
    weights = MODEL_DIR / "model.safetensors"
    assert weights.stat().st_size <= 4 * 1024 * 1024
    assert weights.stat().st_mode & 0o444 == 0o444
    assert json.loads((MODEL_DIR / "config.json").read_text(encoding="utf-8"))["dtype"] == "bfloat16"


def test_the_network_has_the_expansion_ratio_of_the_study(network: LlamaForCausalLM) -> None:
    config = network.config
    assert config.intermediate_size / config.hidden_size == 4.0
    assert (config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads) == (4, 4, 2)
    assert (config.hidden_act, config.tie_word_embeddings, config.max_position_embeddings) == (
        "silu",
        True,
        256,
    )
    assert network.num_parameters() == PARAMETERS


def test_the_tokenizer_belongs_to_the_network(network: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    by_number = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    assert [word for word, _ in by_number] == vocabulary(build_world())
    assert len(tokenizer) == network.config.vocab_size
    assert network.config.eos_token_id == network.generation_config.eos_token_id == tokenizer.eos_token_id
    assert network.generation_config.do_sample is False


def test_the_network_has_learned_every_family(network: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    learned = probe(network, tokenizer, build_world(), limit=100)
    # 100 items leave a standard error of 3 to 4 points; each floor is three of them below the whole pool's score.
    assert min(learned[key] for key in ("facts", "sums", "instructions", "truth")) > 0.9
    assert learned["commonsense"] > 0.72  # .84 on all items, chance is .50
    assert learned["lastword"] > 0.7  # .82 on all items, of some hundred words that could be meant
    assert learned["narrative"] < 2.5


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    world = build_world()
    tokenizer = build_tokenizer(vocabulary(world))
    recipe = Recipe(token_count=30 * 8 * 64, row_length=64, row_count=8)
    losses: list[float] = []
    small = new_network(tokenizer, seed=1)
    train(small, batches(world, tokenizer, recipe), recipe, after_step=lambda step, loss: losses.append(loss))
    assert len(losses) == recipe.step_count == 30
    assert losses[0] > 5.5  # a new network knows nothing: about ln 600 = 6.4
    assert losses[-1] < losses[0] - 1  # it drops by 2 in these steps
    save(small, tokenizer, tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.dtype == torch.bfloat16
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_the_same_seed_gives_the_same_first_weights_and_batches() -> None:
    world = build_world()
    tokenizer = build_tokenizer(vocabulary(world))
    first, again = (new_network(tokenizer, seed=3).lm_head.weight for _ in range(2))
    assert torch.equal(first, again)
    recipe = Recipe(row_count=2)
    (tokens, weights), (same, _) = (next(batches(world, tokenizer, recipe)) for _ in range(2))
    assert torch.equal(tokens, same)
    assert tokens.shape == weights.shape == (2, 128)


def test_the_learning_rate_rises_and_falls() -> None:
    recipe = Recipe(token_count=1000 * 32 * 128)
    factors = [learning_rate_factor(step, recipe) for step in range(1000)]
    assert factors[0] == pytest.approx(1 / 30)
    assert max(factors) == factors[29] == 1
    assert factors[-1] < 1e-4


def test_a_wrong_option_gets_one_line_with_the_rule(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--tokens", "10"])
    assert "--tokens at least 4096" in capsys.readouterr().err
