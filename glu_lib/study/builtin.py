"""The built-in study: tasks, workloads and suites, and the models of `builtin_models`, declared once."""

from __future__ import annotations

from glu_lib.study.builtin_models import BASE, INSTRUCT, MODELS
from glu_lib.study.schema import Study, Suite
from glu_lib.study.tasks import Metric, PromptFormat, Task
from glu_lib.study.workloads import AnyWorkload, Saturation, Workload

_ACC = Metric("acc")


def _choice(options: int, name: str = "acc") -> Metric:
    return Metric(name, chance=1 / options)


_WORD_PERPLEXITY = Metric("word_perplexity", higher_is_better=False)
_PERPLEXITY = Metric("perplexity", higher_is_better=False)
_TOKEN_PERPLEXITY = Metric("token_perplexity", higher_is_better=False)
_EXACT_MATCH = Metric("exact_match", chance=0.0)

_GSM8K_METRIC = Metric("exact_match", "flexible-extract", chance=0.0)
_IFEVAL_METRIC = Metric("prompt_level_strict_acc")

# Headline metrics are those of the published study's tables, or lm-eval's usual ones for tasks outside these tables.
# The published study used plain prompts for instruct variants too; chat prompts are separate tasks.
_TASKS = (
    Task("facts", _choice(4), lm_eval_name="nano_facts", embedded=True),
    Task("sums", _EXACT_MATCH, lm_eval_name="nano_sums", embedded=True),
    Task("instructions", _EXACT_MATCH, lm_eval_name="nano_instructions", embedded=True),
    Task("commonsense", _choice(2), lm_eval_name="nano_commonsense", embedded=True),
    Task("truth", _choice(4), lm_eval_name="nano_truth", embedded=True),
    Task("lastword", Metric("acc", chance=0.0), lm_eval_name="nano_lastword", embedded=True),
    Task("narrative", _WORD_PERPLEXITY, lm_eval_name="nano_narrative", embedded=True),
    Task("wikitext", _WORD_PERPLEXITY),
    Task("boolq", _choice(2)),
    Task("lambada_openai", _PERPLEXITY),
    Task("mmlu", _choice(4), num_fewshot=5, slow=True),
    Task("arc_challenge", _choice(4, "acc_norm")),
    Task("hellaswag", _choice(4, "acc_norm")),
    Task("winogrande", _choice(2)),
    Task("piqa", _choice(2)),
    Task("truthfulqa_mc1", _ACC),  # 2–13 options per question: no fixed chance level
    Task("truthfulqa_mc2", _ACC),  # probability mass on true answers: no fixed chance level
    Task("gsm8k", _GSM8K_METRIC, num_fewshot=5, slow=True),
    Task("ifeval", _IFEVAL_METRIC, slow=True),
    Task("leaderboard_musr", Metric("acc_norm"), slow=True),  # 2, 3 and 5 options in its three parts
    Task("arc_easy", _choice(4, "acc_norm")),
    Task("openbookqa", _choice(4, "acc_norm")),
    Task("cola", Metric("mcc", chance=0.0)),
    Task("mnli", _choice(3)),
    Task("mrpc", _choice(2)),
    Task("qnli", _choice(2)),
    Task("qqp", _choice(2)),
    Task("rte", _choice(2)),
    Task("sst2", _choice(2)),
    Task("wnli", _choice(2)),
    Task(
        "gsm8k_chat",
        _GSM8K_METRIC,
        num_fewshot=5,
        lm_eval_name="gsm8k",
        slow=True,
        prompt_format=PromptFormat.CHAT,
    ),
    Task("ifeval_chat", _IFEVAL_METRIC, lm_eval_name="ifeval", slow=True, prompt_format=PromptFormat.CHAT),
)

# Token perplexity as papers on compression report it, by corpus; the window is part of the key.
_CORPORA, _WINDOW = ("wikitext2", "c4", "ptb"), 2048
_WINDOWED_TASKS = tuple(
    Task(f"{corpus}_{_WINDOW}", _TOKEN_PERPLEXITY, lm_eval_name=f"{corpus}_windows", window=_WINDOW)
    for corpus in _CORPORA
)

_WORKLOAD_SHAPES = ((100, 20), (100, 50), (30, 150))  # prompts × new tokens, as the published study's
_BATCHES = (("latency_b1", 1), ("throughput_b8", 8))


def _workloads(prompts: dict[str, int]) -> tuple[Workload, ...]:
    """The published study's six workloads on the prompts of three tasks, latency first.

    Args:
        prompts: task keys, each with the length in tokens of the random prompts that replace the task's prompts when
            weights are random; about the length of the task's prompts.
    """
    return tuple(
        Workload(f"{task}_{suffix}", task, num_prompts, new_tokens, batch_size, prompt_tokens=length)
        for suffix, batch_size in _BATCHES
        for (task, length), (num_prompts, new_tokens) in zip(prompts.items(), _WORKLOAD_SHAPES, strict=True)
    )


_NANO_WORKLOADS = _workloads({"commonsense": 16, "facts": 24, "instructions": 24})
_HUB_WORKLOADS = _workloads({"hellaswag": 80, "mmlu": 800, "ifeval": 60})

# Prefill: one new token after a long prompt. Decoding: many new tokens after a short prompt. Prompts are random tokens.
_ALIGNMENT_WORKLOADS = (
    Workload("prefill_b1", None, num_prompts=16, new_tokens=1, batch_size=1, prompt_tokens=512),
    Workload("prefill_b8", None, num_prompts=64, new_tokens=1, batch_size=8, prompt_tokens=512),
    Workload("decode_b1", None, num_prompts=4, new_tokens=128, batch_size=1, prompt_tokens=16),
    Workload("decode_b8", None, num_prompts=32, new_tokens=128, batch_size=8, prompt_tokens=16),
)

# Prompts of one length: without padding, the tokens of a batch are proportional to its size.
_SERVING_WORKLOADS = (Saturation("serving_saturation", None, new_tokens=128, max_batch=512, prompt_tokens=128),)

_ALL_WORKLOADS: tuple[AnyWorkload, ...] = (
    *_NANO_WORKLOADS,
    *_HUB_WORKLOADS,
    *_ALIGNMENT_WORKLOADS,
    *_SERVING_WORKLOADS,
)

_GLUE = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "wnli")

_SUITES = (
    Suite(
        "embedded",
        "the tasks that ship with the package, on the embedded model",
        models=("nano",),
        tasks=("facts", "sums", "instructions", "commonsense", "truth", "lastword", "narrative"),
    ),
    Suite(
        "paper",
        "the 13 tasks of the published study, base variants",
        models=BASE,
        tasks=(
            "wikitext",
            "boolq",
            "lambada_openai",
            "mmlu",
            "arc_challenge",
            "hellaswag",
            "winogrande",
            "piqa",
            "truthfulqa_mc1",
            "truthfulqa_mc2",
            "gsm8k",
            "ifeval",
            "leaderboard_musr",
        ),
    ),
    Suite(
        "instruct",
        "the 7 tasks of the published study's instruct variants",
        models=INSTRUCT,
        tasks=(
            "lambada_openai",
            "mmlu",
            "truthfulqa_mc1",
            "truthfulqa_mc2",
            "gsm8k",
            "ifeval",
            "leaderboard_musr",
        ),
    ),
    Suite(
        "chat",
        "tasks prompted with the tokenizer's chat template, instruct variants",
        models=INSTRUCT,
        tasks=("gsm8k_chat", "ifeval_chat"),
    ),
    Suite(
        "core",
        "knowledge, reasoning and GLUE; ifeval for instruct variants only",
        models=(*BASE, *INSTRUCT),
        tasks=(
            "mmlu",
            "arc_easy",
            "arc_challenge",
            "openbookqa",
            "hellaswag",
            "piqa",
            "winogrande",
            "truthfulqa_mc1",
            "truthfulqa_mc2",
            *_GLUE,
        ),
        instruct_tasks=("ifeval",),
    ),
    Suite(
        "perplexity",
        "token perplexity in windows of 2048 tokens, as papers on compression report it",
        models=(*BASE, *INSTRUCT),
        tasks=tuple(task.key for task in _WINDOWED_TASKS),
    ),
    Suite(
        "carbon",
        "energy, latency and throughput workloads; only run when asked for with -m carbon",
        models=("nano", *BASE, *INSTRUCT),
        workloads=tuple(workload.key for workload in (*_NANO_WORKLOADS, *_HUB_WORKLOADS)),
    ),
    Suite(
        "alignment",
        "prefill and decoding at the same levels, widths plain and rounded to 128; only run when asked for",
        models=BASE,
        workloads=tuple(workload.key for workload in _ALIGNMENT_WORKLOADS),
        divisors=(128,),
    ),
    Suite(
        "serving",
        "throughput and energy over the batch size, until memory or throughput stops it; only run when asked for",
        models=("nano", *BASE, *INSTRUCT),
        workloads=tuple(workload.key for workload in _SERVING_WORKLOADS),
    ),
    Suite(
        "layers",
        "what pruning each layer costs in perplexity on a fixed text; only run when asked for with -m layers",
        models=tuple(model.key for model in MODELS),
        has_scan=True,
    ),
)

STUDY = Study(
    models={model.key: model for model in MODELS},
    tasks={task.key: task for task in (*_TASKS, *_WINDOWED_TASKS)},
    workloads={workload.key: workload for workload in _ALL_WORKLOADS},
    suites={suite.key: suite for suite in _SUITES},
)
