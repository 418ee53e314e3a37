"""The columns of the tidy long table: name, type and meaning of each, in order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """Type of a column's values, which may also be null; each corresponds to one Parquet type."""

    TEXT = "text"
    FLAG = "true/false"
    COUNT = "whole number"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the tidy table; values are null where they do not apply or are unknown."""

    name: str
    type: ColumnType
    meaning: str


_TEXT, _FLAG, _COUNT, _NUMBER = ColumnType

TABLE = (
    Column("case", _TEXT, "id of the case, as in `pytest -k`"),
    Column("kind", _TEXT, "`accuracy`, `energy`, `serving`, `architecture` or `layers`"),
    Column("model", _TEXT, "key of the model variant"),
    Column("control", _TEXT, "`no MLP`, or `untrained` for random weights; null for a level"),
    Column(
        "baseline_model",
        _TEXT,
        "model that a recovered or foreign checkpoint is compared with: baseline, delta, test and skill are against "
        "its p0; null: the own p0",
    ),
    Column("baseline_level", _TEXT, "level of that model with the checkpoint's widths, if the study names it"),
    Column("percent", _NUMBER, "pruning percentage; 0 is the unpruned baseline; null for controls"),
    Column("asked", _TEXT, "what the level asks for, as `2.4x`, `900M`, `1.8GB`; null: the percentage"),
    Column("method", _TEXT, "how neurons were chosen, `random` with its seed; null at p0"),
    Column("divisor", _COUNT, "widths are rounded down to a multiple of it; null: not rounded"),
    Column(
        "layers", _TEXT, "the pruned layers, from 0, and `of the model` if the level is a share of all layers' neurons"
    ),
    Column("width", _COUNT, "neurons per MLP of the pruned layers"),
    Column("expansion_ratio", _NUMBER, "width / hidden size, the mean over all layers"),
    Column("parameters", _COUNT, "parameters of the whole model"),
    Column(
        "prefill_macs_per_token",
        _COUNT,
        "multiply-accumulates per token of a prompt of 2048 tokens, by arithmetic on the shape; null: not known",
    ),
    Column("decode_macs_per_token", _COUNT, "the same of one new token that attends to 2048 keys"),
    Column("weights_bytes", _COUNT, "bytes of the weights in the run's dtype"),
    Column("kv_cache_bytes_per_token", _COUNT, "bytes of keys and values that each token adds, in the run's dtype"),
    Column(
        "peak_memory_bytes",
        _COUNT,
        "measured peak memory of scoring, or of a workload's generation: of the process on a CPU, of torch on a GPU; "
        "null in records of earlier versions",
    ),
    Column("suites", _TEXT, "suites that hold the case, separated by blanks"),
    Column("subject", _TEXT, "key of the task or workload"),
    Column("task", _TEXT, "lm-eval's name of the task or of one of its subtasks"),
    Column("metric", _TEXT, "name of the metric"),
    Column("filter", _TEXT, "lm-eval's filter of the answers"),
    Column("prompt_format", _TEXT, "`plain`, or `chat` for the tokenizer's chat template"),
    Column("batch_size", _COUNT, "workloads: prompts per batch; null for other cases"),
    Column("num_fewshot", _COUNT, "few-shot examples in each prompt"),
    Column("window_tokens", _COUNT, "tokens of a window of a text that is scored in windows; null for other tasks"),
    Column("is_headline", _FLAG, "whether this is the task's headline metric"),
    Column("higher_is_better", _FLAG, "the metric's better side"),
    Column("chance", _NUMBER, "score of guessing, 0 to 1; null where guessing has no fixed score"),
    Column("value", _NUMBER, "the measured value; null if it is infinite (see `log_value`)"),
    Column("is_collapsed", _FLAG, "whether a perplexity is above 1e60 or infinite"),
    Column("log_value", _NUMBER, "natural logarithm of a collapsed value; null if that is infinite too"),
    Column("stderr", _NUMBER, "lm-eval's standard error of the value"),
    Column("interval_low", _NUMBER, "workloads: lower end of the 95 % t-interval of the mean over repeats"),
    Column("interval_high", _NUMBER, "workloads: upper end of that interval"),
    Column("n", _COUNT, "scored items; workloads: repeats"),
    Column("limit", _COUNT, "`--limit` of the run, or the longest list of `--samples`; null: all items"),
    Column("subset", _TEXT, "`spread`, or `samples_<file>`: which items, if not the first ones; null: the first ones"),
    Column("task_limit", _COUNT, "the task's own limit of a study file, per subtask; null: all items"),
    Column("truncated_prompts", _COUNT, "prompts that lost their beginning because they did not fit the context"),
    Column("cut_generations", _COUNT, "answers that reached their token limit"),
    Column("unknown_requests", _COUNT, "log-likelihood requests that hold the tokenizer's unknown token"),
    Column("tied_items", _COUNT, "items whose best options have equal scores; the first option counts"),
    Column(
        "answer_length",
        _NUMBER,
        "mean characters of the generated answers; null without them, and for filtered ones without lm-eval's files",
    ),
    Column("repetition", _NUMBER, "mean share of an answer's 4-grams of words that repeat an earlier one"),
    Column("empty_share", _NUMBER, "share of answers that are empty"),
    Column("cut_share", _NUMBER, "share of answers that reached their token limit"),
    Column(
        "zero_shot_mean",
        _NUMBER,
        "mean of the level's scores in the zero-shot tasks that papers average; null with fewer than two",
    ),
    Column("zero_shot_tasks", _TEXT, "the tasks of that mean; means of different tasks cannot be compared"),
    Column(
        "baseline", _NUMBER, "value at p0 of the same model (or of `baseline_model`) and metric, measured the same way"
    ),
    Column("delta", _NUMBER, "value − baseline"),
    Column("delta_low", _NUMBER, "lower end of delta's 95 % interval (of one change, not adjusted)"),
    Column("delta_high", _NUMBER, "upper end of that interval"),
    Column("relative_delta", _NUMBER, "delta / baseline"),
    Column("test", _TEXT, "name of the paired test against p0"),
    Column("pairs", _COUNT, "items that the test compares"),
    Column("p", _NUMBER, "p-value of the test"),
    Column("p_holm", _NUMBER, "p after Holm's correction over all levels and tasks of one table"),
    Column("detectable", _NUMBER, "smallest change that the items show with a probability of 80 %"),
    Column("blind", _NUMBER, "best score of answers that do not follow the question"),
    Column("blind_control", _TEXT, "the blind answer that has it"),
    Column("blind_p95", _NUMBER, "95th percentile over the 20 shuffles; null for other blind answers"),
    Column(
        "skill",
        _NUMBER,
        "what is left above blind: 1 unpruned, 0 blind; null if p0 is not shown to be better than blind",
    ),
    Column("skill_low", _NUMBER, "lower end of skill's 95 % interval"),
    Column("skill_high", _NUMBER, "upper end of that interval"),
    Column(
        "recovered",
        _NUMBER,
        "share of the skill lost by pruning that a checkpoint has again: 0 as the pruned level of its widths, 1 as p0",
    ),
    Column("recovered_low", _NUMBER, "lower end of that share's 95 % interval"),
    Column("recovered_high", _NUMBER, "upper end of that interval"),
    Column("p_blind", _NUMBER, "p-value of the test against the blind answer: paired; binomial for published shares"),
    Column(
        "is_blind",
        _FLAG,
        "whether the score is not shown to be better than blind; null without controls, or above blind without a test",
    ),
    Column(
        "energy_j",
        _NUMBER,
        "joules of the case over all parts of the machine; null if a part is unknown, and for workloads",
    ),
    Column("energy_quality", _TEXT, "`measured` or `estimated`"),
    Column("window_s", _NUMBER, "seconds of the energy window"),
    Column("is_exclusive", _FLAG, "whether no other process used the machine"),
    Column("weights", _TEXT, "`real`, `random`, or how a GGUF file held them: `dequantized Q4_1`"),
    Column("dtype", _TEXT, "dtype of the weights"),
    Column("device", _TEXT, "name of the GPU or the processor"),
    Column("run", _TEXT, "hash of hardware, versions and commit; equal for rows measured with the same set-up"),
    Column("git_commit", _TEXT, "commit of the suite"),
    Column("started_at", _TEXT, "when the case began, UTC"),
    Column("record", _TEXT, "path of the record below the results folder"),
)

COLUMNS = tuple(column.name for column in TABLE)
TEXTS, FLAGS, COUNTS, _FLOATS = (tuple(column.name for column in TABLE if column.type is type_) for type_ in ColumnType)
NUMBERS = (*COUNTS, *_FLOATS)  # finite numbers, or None
