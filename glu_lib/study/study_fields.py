"""The fields of a study file: type and meaning of each, by table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a study file's table."""

    type: type | tuple[type, ...]
    meaning: str


TOP = {
    "models": Field(dict, "models that are added or replaced, by key"),
    "tasks": Field(dict, "tasks that are added or changed, by key"),
    "workloads": Field(dict, "energy workloads that are added or changed, by key"),
    "suites": Field(dict, "suites, by key: a list of tasks or workloads, or a table"),
    "methods": Field(list, "pruning methods of the run, as with `--method`"),
    "divisors": Field(list, "divisors of the run, as with `--divisor`"),
    "layers": Field(list, "layer sets of the run, as with `--layers`: a list of texts"),
    "percent_of": Field(str, "`layer` or `model`, as with `--percent-of`"),
    "scan_level": Field(int, "pruning percentage of the layer scan (default 10)"),
    "controls": Field(bool, "score the controls too, as with `--controls` (default false)"),
}
MODEL = {
    "source": Field(str, "hub id, or a folder (absolute, or relative to where you run)"),
    "gguf": Field(str, "name of a GGUF file in the source; its weights are dequantized on loading"),
    "kind": Field(
        str,
        "`base` or `instruct`: decides the default suites (default: instruct where a chat template is on this machine)",
    ),
    "revision": Field(str, "branch, tag or commit on the hub (default `main`)"),
    "baseline": Field(
        str,
        "key of the model that a recovered or foreign checkpoint is compared with, item by item; it then has no "
        "levels, and kind and suites are the baseline's by default",
    ),
    "level": Field(
        (int, str),
        "level of the baseline with the checkpoint's widths, as 40 or `2.4x` (default: found by the widths)",
    ),
    "levels": Field(
        list,
        "whole numbers from 0 to 95 (per cent), or texts as `2.4x`, `900M`, `1.8GB` (default: the built-in ones)",
    ),
    "layers": Field(list, "layer sets of this model, in place of those of the run"),
    "suites": Field(
        list,
        "suites that it runs (default: paper, core, carbon, layers; instruct kind: instruct, chat in place of paper)",
    ),
    "architecture": Field(
        dict, "its shape (default: by its config.json): for `--weights random` and widths known before loading"
    ),
}
SHAPE = {
    "hidden_size": Field(int, "hidden size, a multiple of num_heads"),
    "intermediate_size": Field(int, "neurons per MLP"),
    "num_layers": Field(int, "decoder layers"),
    "num_heads": Field(int, "attention heads, a multiple of num_kv_heads"),
    "num_kv_heads": Field(int, "heads of keys and values"),
    "head_dim": Field(int, "width of one head, a multiple of 2"),
    "vocab_size": Field(int, "rows of the embedding"),
    "max_positions": Field(int, "context length in tokens"),
    "tied_embeddings": Field(bool, "whether the LM head shares the embedding's weights"),
    "rope_theta": Field(float, "base of the rotary embeddings"),
    "rms_norm_eps": Field(float, "epsilon of the RMS norms (may be left out)"),
}
TASK = {
    "task": Field(str, "lm-eval's name of the task (default: the key)"),
    "num_fewshot": Field(int, "few-shot examples (default 0)"),
    "prompt_format": Field(str, "`plain` (default) or `chat`: the tokenizer's chat template"),
    "metric": Field(str, "headline metric, with its filter after a comma: `exact_match,flexible-extract`"),
    "higher_is_better": Field(bool, "the metric's better side (default true)"),
    "chance": Field(float, "score of guessing, 0 to 1 (default: none)"),
    "limit": Field(int, "the task's own sample limit, per subtask (default: all; `--limit` may lower it)"),
    "slow": Field(bool, "marks the task `slow`"),
    "window": Field((int, str), "tokens of a window, or `context` (tasks that score one text in windows only)"),
}
WORKLOAD = {
    "prompts": Field(str, "task whose prompts are used"),
    "num_prompts": Field(int, "number of prompts"),
    "new_tokens": Field(int, "tokens generated for each prompt"),
    "batch_size": Field(int, "prompts per batch"),
    "max_batch": Field(
        int, "in place of num_prompts and batch_size: the batch doubles from 1 up to this size (serving at saturation)"
    ),
    "least_gain": Field(
        float, "with max_batch: a doubling that gains less than this share of the throughput stops it (default 0.05)"
    ),
    "seeds": Field(list, "one repeat for each seed (default 42, 123, 456)"),
    "prompt_tokens": Field(int, "length of prompts of random tokens: without `prompts`, or with random weights"),
}
SUITE = {
    "tasks": Field(list, "keys of its tasks"),
    "workloads": Field(list, "keys of its workloads"),
    "models": Field(list, "keys of its models (default: the file's models, or all hub models if it has none)"),
    "divisors": Field(list, "run each level plain and rounded down to a multiple of each of these"),
    "description": Field(str, "one line about the suite"),
}
TABLES = {
    "top level": TOP,
    "[models.<key>]": MODEL,
    "[models.<key>.architecture]": SHAPE,
    "[tasks.<key>]": TASK,
    "[workloads.<key>]": WORKLOAD,
    "[suites.<key>]": SUITE,
}
