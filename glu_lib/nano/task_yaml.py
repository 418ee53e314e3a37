"""The lm-eval task definitions: one YAML per family."""

_HEAD = """\
task: nano_{key}
tag: nano
custom_dataset: !function dataset.load
dataset_kwargs:
  family: {key}
test_split: test
"""
_TAIL = """\
metadata:
  version: 1.0
"""
_CHOICE = """\
output_type: multiple_choice
doc_to_text: "{{prompt}}"
doc_to_choice: "{{choices}}"
doc_to_target: gold
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
_GENERATE = """\
output_type: generate_until
doc_to_text: "{{prompt}}"
doc_to_target: answer
generation_kwargs:
  until:
    - "<eos>"
  do_sample: false
  max_gen_toks: 8
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""
_LAST_WORD = """\
output_type: loglikelihood
doc_to_text: "{{prompt}}"
doc_to_target: "{{' ' + answer}}"
metric_list:
  - metric: perplexity
    aggregation: perplexity
    higher_is_better: false
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
_ROLLING = """\
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - metric: word_perplexity
    aggregation: weighted_perplexity
    higher_is_better: false
"""

_BODIES = {
    "facts": _CHOICE,
    "sums": _GENERATE,
    "instructions": _GENERATE,
    "commonsense": _CHOICE,
    "truth": _CHOICE,
    "lastword": _LAST_WORD,
    "narrative": _ROLLING,
}


def task_yaml(key: str) -> str:
    """Return the text of `nano_<key>.yaml`.

    Raises:
        KeyError: if there is no such family.
    """
    return _HEAD.format(key=key) + _BODIES[key] + _TAIL
