"""Score a model in memory with lm-eval."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from glu_lib.errors import MeasurementError, NotFiniteError, RecordError
from glu_lib.measure.accuracy.results import Evaluation, compact, headline, json_value, metric_values
from glu_lib.measure.accuracy.sample_checks import check_samples, count_ties
from glu_lib.measure.accuracy.shortcuts import lm_eval_shortcuts
from glu_lib.measure.controls import controls
from glu_lib.measure.tasks.chosen_items import chosen_items
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.study import Task
from glu_lib.study.items import Items
from glu_lib.study.settings import Scorer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from glu_lib.measure.scoring.encoding import Encodings
    from glu_lib.measure.scoring.kept_hflm import KeepingHFLM
    from glu_lib.results.unfinished import Answers

BOOTSTRAP_ITERATIONS = 1000
ALL_ITEMS = Items()


def wrap_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    batch_size: int,
    scorer: Scorer = Scorer.FAST,
    encodings: Encodings | None = None,
) -> KeepingHFLM:
    """Wrap a model in memory as an lm-eval model, on the model's own device.

    If the model's rotary embeddings change beyond an original context, the context is limited to that length, and
    longer prompts lose their beginning.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        batch_size: sequences per forward pass.
        scorer: `fast` computes shared prefixes once; `hf` is lm-eval's `HFLM`.
        encodings: what the levels of one model share; only for this tokenizer.
    """
    from glu_lib.measure.scoring.context import fixed_context

    # If max_length is None, lm-eval uses the length in the model's configuration.
    options: dict[str, Any] = {"batch_size": batch_size, "max_length": fixed_context(model.config)}
    if scorer is Scorer.FAST:
        from glu_lib.measure.scoring.language_model import SharedPrefixLM

        return SharedPrefixLM(pretrained=model, tokenizer=tokenizer, encodings=encodings, **options)
    from glu_lib.measure.scoring.kept_hflm import KeepingHFLM

    return KeepingHFLM(pretrained=model, tokenizer=tokenizer, encodings=encodings, **options)


def evaluate_task(
    lm: KeepingHFLM,
    library: TaskLibrary,
    task: Task,
    *,
    seed: int,
    limit: int | None,
    items: Items = ALL_ITEMS,
    answers: Answers | None = None,
) -> Evaluation:
    """Score `task` with lm-eval and return everything it reports.

    Args:
        lm: the wrapped model.
        library: cache of loaded tasks.
        task: the task to score.
        seed: seed of few-shot sampling, Python, NumPy and torch; set for each task, so that a result does not depend
            on earlier tasks.
        limit: samples per (sub-)task, None for all.
        items: which samples, if they are not the first ones.
        answers: journal of the case: answers of earlier runs are read from it, new ones are written to it.

    Raises:
        AccessError: if the task's data cannot be loaded.
        MeasurementError: if lm-eval does not report the headline metric, an item does not exist, or windows do not fit.
        NotFiniteError: if the model returns NaN or infinity, or -inf for all options; the journal is deleted.
        RecordError: if the journal cannot be written.
    """
    loaded = library.load(task, seed=seed)
    _check_room(lm, task, loaded)
    window_tokens = _cut_windows(lm, task, loaded)
    samples = chosen_items(task, loaded, replace(items, limit=limit))
    lm.answers = answers
    try:
        results = _evaluate_smaller_if_needed(lm, task, loaded, seed, limit, samples)
    except NotFiniteError:
        if answers is not None:
            answers.remove()
        raise
    except BaseException:
        if answers is not None:
            with suppress(RecordError):  # the original error is the one to report
                answers.flush()
        raise
    finally:
        lm.answers = None
    raw_samples = results.pop("samples")
    metrics = tuple(metric_values(results))
    known = lm.encodings.controls if lm.encodings else None
    blind = controls(task, loaded, raw_samples, partial(_text_tokens, lm), lm.model.config.vocab_size, known)
    scored = tuple(
        compact(name, sample, blind.get((name, sample["doc_id"])) if sample["filter"] == task.metric.filter else None)
        for name, found in raw_samples.items()
        for sample in found
    )
    return Evaluation(
        headline=headline(task, metrics),
        metrics=metrics,
        samples=scored,
        count=len({(sample["task"], sample["doc_id"]) for sample in scored}),
        expected=sum(counts["effective"] for counts in results["n-samples"].values()),
        num_fewshot=_used_few_shot(loaded),
        generation_settings=_generation_settings(lm, loaded),
        task_versions={name: str(version) for name, version in results["versions"].items()},
        truncated_prompts=lm.truncated_prompts,
        cut_generations=lm.cut_generations,
        unknown_requests=lm.unknown_requests,
        tied_items=count_ties(raw_samples),
        batch_size=lm.batch_size,
        attention=lm.attention,
        window_tokens=window_tokens,
        attention_choice=lm.attention_choice,
        results=json_value(results),
        raw_samples=json_value(raw_samples),
    )


def _evaluate_smaller_if_needed(
    lm: KeepingHFLM, task: Task, loaded: Any, seed: int, limit: int | None, samples: dict[str, list[int]] | None
) -> dict[str, Any]:
    """Run lm-eval; if a batch does not fit into memory, halve the batch size and score the task again.

    The smaller batch size stays for the model's later tasks, because the larger one would fail again.
    """
    from lm_eval.evaluator import evaluate

    from glu_lib.machine.device_errors import is_out_of_memory
    from glu_lib.machine.environment import seed_everything
    from glu_lib.machine.memory import release_memory

    while True:
        seed_everything(seed)
        lm.reset_counts()
        try:
            # lm-eval's softmax over options warns if all are -inf; check_samples finds that case below.
            with lm_eval_shortcuts(), np.errstate(invalid="ignore"):
                results: dict[str, Any] = evaluate(
                    lm=lm,
                    task_dict=loaded,
                    limit=None if samples else limit,
                    samples=samples,
                    bootstrap_iters=BOOTSTRAP_ITERATIONS,
                    log_samples=True,
                    apply_chat_template=task.is_chat,
                    fewshot_as_multiturn=task.is_chat,
                )
            check_samples(results["samples"])
        except MeasurementError as error:
            raise type(error)(f"task {task.key}: {error}") from error
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if lm.batch_size == 1:
                raise MeasurementError(
                    f"task {task.key}: out of memory at batch size 1; "
                    "choose a GPU with more memory, a 16-bit --dtype, or a smaller model"
                ) from error
        else:
            return results
        lm.batch_size_per_gpu = lm.batch_size // 2
        release_memory()


def _generation_settings(lm: KeepingHFLM, loaded: Any) -> dict[str, Any]:
    """Settings of the model's generation configuration that changed greedy answers; {} if nothing was generated."""
    from glu_lib.measure.scoring.greedy_answers import own_settings

    generates = any(task.get_config("output_type") == "generate_until" for task in loaded["tasks"].values())
    return {name: str(value) for name, value in own_settings(lm.model.generation_config).items()} if generates else {}


def _text_tokens(lm: KeepingHFLM, text: str) -> list[int]:
    """Token ids of a text that stands alone, without special tokens."""
    ids: list[int] = lm.tok_encode(text, add_special_tokens=False)
    return ids


def _used_few_shot(loaded: Any) -> int:
    """The few-shot count of lm-eval's tasks; `TaskLibrary.load` has checked that all of them use the same count."""
    (count,) = {int(lm_eval_task.get_config("num_fewshot") or 0) for lm_eval_task in loaded["tasks"].values()}
    return count


def _cut_windows(lm: KeepingHFLM, task: Task, loaded: Any) -> int | None:
    """Cut the text of a task with windows; tokens of a window, or None."""
    from glu_lib.measure.tasks.windowed import cut_windows

    return cut_windows(lm, task, loaded)


def _check_room(lm: KeepingHFLM, task: Task, loaded: Any) -> None:
    """Check that a generation task leaves room for a prompt in the model's context.

    Raises:
        MeasurementError: if the answers alone can fill the context.
    """
    for lm_eval_task in loaded["tasks"].values():
        options: dict[str, Any] = lm_eval_task.get_config("generation_kwargs") or {}
        wanted = {"max_gen_toks": lm.max_gen_toks, **options}["max_gen_toks"]
        if lm_eval_task.get_config("output_type") == "generate_until" and wanted >= lm.max_length:
            raise MeasurementError(answers_do_not_fit(task, wanted, lm.max_length))


def answers_do_not_fit(task: Task, wanted: int, context: int) -> str:
    """The error message for a generation task whose answers leave no room for a prompt; both sizes in tokens."""
    return (
        f"task {task.key}: answers may take {wanted} tokens, and the model's context has {context}; leave the task "
        f'out, with -k "not {task.key}" or with a suite of your own in a study file'
    )
