import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from glu_lib.measure.accuracy.evaluate import wrap_model
from glu_lib.measure.scoring.context import fixed_context
from glu_lib.nano import MODEL_DIR
from glu_lib.study.settings import Scorer

ORIGINAL = 32
SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 600}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 8,
    "long_factor": [float(k + 1) for k in range(8)],
    "original_max_position_embeddings": ORIGINAL,
    "factor": 4.0,
}


def llama(**options):
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZE, max_position_embeddings=4 * ORIGINAL, **options)).eval()


@pytest.mark.parametrize(
    ("options", "length"),
    [
        ({}, None),
        ({"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}}, None),
        ({"rope_parameters": LONGROPE}, ORIGINAL),
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}}, 4 * ORIGINAL),
    ],
)
def test_embeddings_that_change_have_a_context_in_which_they_do_not(options, length):
    assert fixed_context(llama(**options).config) == length


def test_scores_do_not_depend_on_what_is_computed_beside_them():
    """Beyond the original context the whole batch, short texts too, would get other frequencies."""
    model = llama(rope_parameters=LONGROPE)
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    short = [(("", ""), list(range(3, 3 + length)), [7, 8]) for length in (5, 9, 20)]
    long = (("", ""), [3 + k % 500 for k in range(90)], [7, 8])
    expected = []
    for _, context, answer in [*short, (None, [*long[1]][-(ORIGINAL + 1 - 2) :], long[2])]:
        tokens = torch.tensor([[*context, *answer][:-1]])
        with torch.inference_mode():
            logprobs = model(tokens).logits[0, -2:].log_softmax(-1)
        expected.append(float(logprobs[0, 7] + logprobs[1, 8]))
    for scorer in Scorer:
        lm = wrap_model(model, tokenizer, batch_size=8, scorer=scorer)
        found = lm._loglikelihood_tokens([*short, long], disable_tqdm=True)
        assert [score for score, _ in found] == pytest.approx(expected, abs=1e-4)
        assert lm.truncated_prompts == 1
