"""The items of an Every Eval Ever record: one line per item, from its sample and lm-eval's own file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from glu_lib.analysis.answer_texts import UNFILTERED, are_generated
from glu_lib.analysis.item_texts import is_same, whole_prompt
from glu_lib.errors import RecordError
from glu_lib.report.formats.eval_results import as_texts, result_id
from glu_lib.report.formats.scored_case import ScoredCase
from glu_lib.results.lm_eval_samples import generated_text, lm_eval_files_of, read_lm_eval_samples
from glu_lib.results.record import MALFORMED
from glu_lib.results.store import Store

_PER_CHARACTER = "acc_norm"  # lm-eval divides an option's log-likelihood by its length in characters


def item_lines(
    store: Store, cases: Iterable[ScoredCase], evaluation_id: str, model_id: str, version: str
) -> tuple[bytes, list[str]]:
    """JSON lines of the items of all cases whose items are right or wrong, for the headline's metric.

    Returns:
        The lines, and one message per case without items.
    """
    lines: list[str] = []
    missing: list[str] = []
    for case in cases:
        try:
            found = [
                {"schema_version": version, "evaluation_id": evaluation_id, "model_id": model_id, **item}
                for item in _items(store, case)
            ]
        except (OSError, RecordError, *MALFORMED) as error:
            missing.append(f"{case.record.case.id}: {error}")
            continue
        lines += [json.dumps(item, allow_nan=False) for item in found]
    return "".join(f"{line}\n" for line in lines).encode(), missing


def _items(store: Store, case: ScoredCase) -> Iterator[dict[str, Any]]:
    """The items of a case.

    Raises:
        RecordError: if it has none that the format can hold.
    """
    record, headline = case.record, case.record.score.headline
    samples = {
        (sample["task"], sample["doc_id"], sample["filter"]): sample
        for sample in store.read_samples(record.samples)
        if sample["filter"] == headline.filter
    }
    if any(sample[headline.metric] not in (0, 1) for sample in samples.values()):
        raise RecordError(f"its items are not right or wrong ({headline.metric}), and the format asks which they are")
    is_generated = are_generated([sample["answers"] for sample in samples.values()])
    count = 0
    for path in lm_eval_files_of(store, case.name):
        for key, found in read_lm_eval_samples(path):
            sample = samples.get(key)
            if sample is None or not is_same(found, sample):
                continue
            if (texts := whole_prompt(found, is_generated=is_generated)) is None:
                continue
            count += 1
            name = result_id(record, sample["task"], headline.metric, headline.filter)
            output = generated_text(found) if is_generated else _chosen(sample["answers"], texts[1], headline.metric)
            target = found.get("target", sample["target"])  # a sample keeps labels only
            item = _item(sample, target, texts, output, headline.metric, is_generated)
            yield {"evaluation_result_id": name, **item}
    if not count:
        raise RecordError("lm-eval's own files (folder lm_eval) with its prompts are not there or are of other items")
    if count != len(samples):
        raise RecordError(f"lm-eval's own files hold {count} of its {len(samples)} items")


def _item(
    sample: Mapping[str, Any],
    target: Any,
    texts: tuple[str, list[str]],
    output: str | None,
    metric: str,
    is_generated: bool,
) -> dict[str, Any]:
    prompt, options = texts
    choices = [option.strip() for option in options]
    reference = [_reference(target, choices)]
    extracted = str(sample["answers"][0]) if is_generated and sample["answers"] else output
    method = _method(sample["filter"], metric, is_generated)
    hashed = json.dumps({"raw": prompt, "reference": reference}, sort_keys=True, separators=(",", ":"))
    attribution = {"turn_idx": 0, "source": "output.raw", "extraction_method": method, "is_terminal": True}
    return {
        "evaluation_name": sample["task"],
        "sample_id": str(sample["doc_id"]),
        "sample_hash": hashlib.sha256(hashed.encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": prompt, "reference": reference, **({"choices": choices} if len(choices) > 1 else {})},
        "output": {"raw": [] if output is None else [output]},
        "answer_attribution": [] if extracted is None else [{**attribution, "extracted_value": extracted}],
        "evaluation": {"score": float(sample[metric]), "is_correct": bool(sample[metric])},
        "metadata": as_texts(
            {
                **{name: sample.get(name) for name in ("doc_hash", "prompt_hash", "target_hash", "filter")},
                "log_likelihoods": None if is_generated else sample["answers"],
            }
        ),
    }


def _reference(target: Any, choices: Sequence[str]) -> str:
    """The right answer as text: lm-eval's target, or the option at the place that it names."""
    text = str(target)
    if len(choices) > 1 and text.isdecimal() and len(text) < 4 and int(text) < len(choices):
        return choices[int(text)]
    return text


def _chosen(answers: Sequence[Any], options: Sequence[str], metric: str) -> str | None:
    """The option with the highest log-likelihood, per character for `acc_norm`; None with a single continuation."""
    if len(options) < 2 or len(answers) != len(options):
        return None
    choices = [option.strip() for option in options]
    scores = [float(answer[0]) for answer in answers]
    if metric == _PER_CHARACTER:
        scores = [score / max(len(choice), 1) for score, choice in zip(scores, choices, strict=True)]
    if any(map(math.isnan, scores)):
        return None
    return choices[scores.index(max(scores))]


def _method(filter_name: str, metric: str, is_generated: bool) -> str:
    if is_generated:
        return "none" if filter_name == UNFILTERED else f"lm-eval filter {filter_name}"
    return "highest log-likelihood per character" if metric == _PER_CHARACTER else "highest log-likelihood"
