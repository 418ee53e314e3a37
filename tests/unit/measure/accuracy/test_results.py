import json

import numpy as np
import pytest

from glu_lib.measure.accuracy.results import compact


def sample(**metrics):
    shared = dict.fromkeys(("doc_id", "filter", "target", "filtered_resps", "doc_hash", "prompt_hash", "target_hash"))
    return shared | {"metrics": list(metrics)} | metrics


def test_labels_of_mcc_and_f1_can_be_written():
    # lm-eval's process_results gives (gold, numpy.argmax(…)) for the metrics of cola, mrpc and qqp
    found = compact(
        "cola", sample(mcc=(1, np.int64(0)), f1=(1, np.int64(1)), acc=np.float64(0.25), strict=[True, False])
    )
    kept = json.loads(json.dumps(found))
    assert {name: kept[name] for name in ("mcc", "f1", "acc", "strict")} == {
        "mcc": [1, 0],
        "f1": [1, 1],
        "acc": 0.25,
        "strict": [True, False],
    }


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        (3, 3),
        (np.int64(1), 1),
        ("2", "2"),
        (" signs", None),
        ("A whole page of text.", None),
        ("18000", None),
        (["a", "b"], None),
        (0.5, None),
        (-1, None),
    ],
)
def test_a_target_is_kept_as_a_label_only_because_texts_belong_to_the_data_set(target, kept):
    assert compact("any", sample() | {"target": target})["target"] == kept
