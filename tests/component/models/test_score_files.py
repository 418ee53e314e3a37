"""Scores of the user's own: `--method file:NAME.safetensors`."""

import copy

import pytest
import torch
from safetensors.torch import save_file

from glu_lib.errors import VerificationError
from glu_lib.models.neuron_scores import neuron_scores
from glu_lib.models.pruning import prune
from glu_lib.study.layers import Layers
from glu_lib.study.methods import Selection
from glu_lib.study.pruning import Pruning


@pytest.fixture
def pruning_by(tmp_path):
    """A pruning by a file of these scores: tensors by name, or the bytes of a file."""

    def make(scores, percent=40, layers="all"):
        path = tmp_path / "ours.safetensors"
        if isinstance(scores, bytes):
            path.write_bytes(scores)
        else:
            save_file({name: tensor.clone() for name, tensor in scores.items()}, path)
        (found,) = Selection.parse(f"file:{path}")
        return Pruning(percent, found.method, scores=found.scores, layers=Layers.parse(layers))

    return make


def scores_of(model, pruning):
    return {str(i): neuron_scores(layer.mlp, pruning, layer=i) for i, layer in enumerate(model.model.layers)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layers", ["all", "1"])
def test_a_file_of_ppm_scores_keeps_ppms_neurons(tiny_llama, pruning_by, layers, dtype):
    twin = copy.deepcopy(tiny_llama)
    pruning = pruning_by({name: found.to(dtype) for name, found in scores_of(twin, Pruning(40)).items()}, 40, layers)
    found, ppm = prune(tiny_llama, pruning), prune(twin, Pruning(40, layers=Layers.parse(layers)))
    assert found.kept_neurons == ppm.kept_neurons
    assert found.removed.score_share == ppm.removed.score_share
    assert found.method == "file_ours"
    assert all(torch.equal(one, other) for one, other in zip(tiny_llama.parameters(), twin.parameters(), strict=True))


def test_the_highest_scores_stay_in_the_order_of_the_neurons(tiny_llama, pruning_by):
    before = copy.deepcopy(tiny_llama)
    chosen = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    scores = {"0": torch.zeros(40), "1": torch.zeros(40)}
    scores["0"][chosen[:24]] = -torch.arange(24.0) - 1e-30  # negative scores: shares have no meaning
    scores["0"][chosen[24:]] = -1e9
    removed = prune(tiny_llama, pruning_by(scores)).removed
    kept = chosen[:24].sort().values
    assert torch.equal(tiny_llama.model.layers[0].mlp.up_proj.weight, before.model.layers[0].mlp.up_proj.weight[kept])
    # Of equal scores the first neurons stay.
    assert torch.equal(tiny_llama.model.layers[1].mlp.up_proj.weight, before.model.layers[1].mlp.up_proj.weight[:24])
    assert removed.score_share == [None, None]


def test_only_the_pruned_layers_need_scores(tiny_llama, pruning_by):
    assert prune(tiny_llama, pruning_by({"1": torch.rand(40)}, layers="1")).widths == [40, 24]


GOOD = torch.rand(40)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (
            {"0": GOOD, "model.layers.1": GOOD, "x": GOOD, "y": GOOD},
            "has no tensor '1' (it has 0, model.layers.1, x, …); it needs one vector per pruned layer, named by the "
            "layer's number from 0",
        ),
        (
            {},
            "has no tensor '0' (it has none); it needs one vector per pruned layer, named by the layer's number from 0",
        ),
        ({"0": GOOD, "1": torch.rand(41)}, "tensor 1 has shape (41,), the layer has 40 neurons"),
        ({"0": torch.rand(40, 1)}, "tensor 0 has shape (40, 1), the layer has 40 neurons"),
        (
            {"0": GOOD.clone().index_fill(0, torch.tensor(7), torch.nan)},
            "tensor 0 must hold floating-point numbers that are finite in float32",
        ),
        (
            {"0": GOOD.clone().index_fill(0, torch.tensor(7), torch.inf)},
            "tensor 0 must hold floating-point numbers that are finite in float32",
        ),
        (
            {"0": torch.full((40,), 1e300, dtype=torch.float64)},
            "tensor 0 must hold floating-point numbers that are finite in float32",
        ),
        ({"0": torch.arange(40)}, "tensor 0 must hold floating-point numbers that are finite in float32"),
    ],
    ids=["missing", "empty", "too long", "a column", "NaN", "infinite", "too large", "integers"],
)
def test_scores_that_do_not_fit_are_refused_in_one_line(tiny_llama, pruning_by, scores, message):
    pruning = pruning_by(scores)
    with pytest.raises(VerificationError) as caught:
        prune(tiny_llama, pruning)
    assert str(caught.value) == f"score file {pruning.scores.path}: {message}"


@pytest.mark.parametrize("content", [b"", b"not a safetensors file", b"\x00" * 64])
def test_a_file_of_another_kind_is_refused_in_one_line(tiny_llama, pruning_by, content):
    pruning = pruning_by(content)
    with pytest.raises(VerificationError) as caught:
        prune(tiny_llama, pruning)
    message = str(caught.value)
    assert message.startswith(f"score file {pruning.scores.path}: cannot be read (")
    assert message.endswith("); write it with safetensors")
    assert len(message.splitlines()) == 1


def test_a_file_that_changed_since_the_run_began_is_refused(tiny_llama, pruning_by):
    pruning = pruning_by({"0": GOOD, "1": GOOD})
    save_file({"0": GOOD + 1, "1": GOOD.clone()}, pruning.scores.path)
    with pytest.raises(VerificationError) as caught:
        prune(tiny_llama, pruning)
    assert str(caught.value) == (
        f"score file {pruning.scores.path}: has changed since the run began; start the run again"
    )


def test_a_file_that_is_gone_is_refused_in_one_line(tiny_llama, pruning_by):
    pruning = pruning_by({"0": GOOD, "1": GOOD})
    pruning.scores.path.unlink()
    with pytest.raises(VerificationError, match=r"cannot be read \(.*No such file.*\); write it with safetensors$"):
        prune(tiny_llama, pruning)
