import pytest
from huggingface_hub import ModelCard

from glu_lib.errors import AccessError, RecordError
from glu_lib.frontends import push as hub
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

NANO = STUDY.models["nano"]


def test_nothing_to_push_is_one_line(tmp_path):
    with pytest.raises(RecordError, match="holds no readable record; there is nothing to push"):
        hub.push_results(tmp_path, "me/results")


def test_a_hub_that_refuses_is_one_line(settings, monkeypatch):
    case = Case(NANO, Pruning(40), "architecture")
    Session(Experiment(settings)).measure(case)

    class Refusing:
        def create_repo(self, *_args, **_options):
            raise OSError("no token\nat all")

    monkeypatch.setattr("huggingface_hub.HfApi", Refusing)
    with pytest.raises(
        AccessError, match="--repo-id me/results: the hub refuses the upload: no token; check the id and HF_TOKEN"
    ):
        hub.push_results(settings.results_dir, "me/results")


def test_the_model_card_carries_pruning_widths_and_scores_as_metadata(settings):
    experiment = Experiment(settings)
    row = {"subject": "sums", "task": "nano_sums", "metric": "exact_match", "baseline": 1.0, "value": 0.5}
    with experiment.levels.prepared(NANO, Pruning(40)) as prepared:
        text = hub.model_card(NANO, prepared, [row], "me/nano-p40")
    card = ModelCard(text)
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_name) == ("exact_match", 0.5, "sums")
    assert card.data.license == "mit"
    assert "| MLP width | 512 | 308 |" in text
    assert "| expansion ratio | 4.0000 | 2.4062 |" in text
    assert "| sums | exact_match | 1.0000 | 0.5000 |" in text
    assert "its MLP pruned by 40 % (method PPM)" in text


def test_a_collapsed_score_stands_in_the_model_card_but_not_in_its_metadata(settings):
    row = {"subject": "narrative", "task": "nano_narrative", "metric": "word_perplexity", "baseline": 1.5}
    rows = [row | {"value": None, "is_collapsed": True, "log_value": 921.0}, row | {"value": 1.5e12}]
    with Experiment(settings).levels.prepared(NANO, Pruning(40)) as prepared:
        text = hub.model_card(NANO, prepared, rows, "me/nano-p40")
    assert [result.metric_value for result in ModelCard(text).data.eval_results] == [1.5e12]
    assert (
        "| narrative | word_perplexity | 1.5000 | > 1e60 |\n| narrative | word_perplexity | 1.5000 | 1.5e+12 |" in text
    )
