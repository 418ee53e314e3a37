"""Form of generated answers: length, repetition, share that is empty, share cut by the token limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from glu_lib.analysis.table import Row
from glu_lib.results.lm_eval_samples import generated_text, lm_eval_files_of, read_lm_eval_samples
from glu_lib.results.record import MALFORMED
from glu_lib.results.records import AccuracyRecord
from glu_lib.results.store import Store

_WORDS = 4  # words of an n-gram
_LONG = 40  # characters of a text that is more than a few words
_MOSTLY = 0.5
_INFINITE = "-inf"  # in samples: the log-likelihood of a text with a token of probability 0
UNFILTERED = "none"  # lm-eval's filter that leaves answers as they were generated


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """Form of a case's generated answers.

    `answer_length` is their mean length in characters, `repetition` the mean of `repetition_of`, `empty_share` the
    share without any visible character, `cut_share` the share that reached the token limit; None if unknown.
    """

    answer_length: float | None
    repetition: float | None
    empty_share: float | None
    cut_share: float | None


def repetition_of(text: str) -> float:
    """Share of a text's 4-grams that repeat an earlier one: 1 − distinct / total; 0 for fewer than four units.

    seq-rep-4 of Welleck et al., Neural Text Generation With Unlikelihood Training, ICLR 2020, section 6. There n-grams
    are of tokens; here of words, separated by white space, so that models with different tokenizers can be compared. A
    long text of fewer than four words ("SGENLNLNLN…") counts by characters.
    """
    words: Sequence[str] = text.split()
    if len(words) < _WORDS and len(text) >= _LONG:
        words = text
    grams = [tuple(words[start : start + _WORDS]) for start in range(len(words) - _WORDS + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def answer_form(
    record: AccuracyRecord, samples: Sequence[dict[str, Any]], store: Store, name: str
) -> AnswerForm | None:
    """The form of a case's generated answers; None for tasks without generated answers.

    Samples hold answers after lm-eval's filters. If the headline's filter extracts a part of the text, the texts are
    read from lm-eval's own files; without these files only `cut_share` is known.

    Args:
        record: an accuracy record.
        samples: its samples, from `Store.read_samples`.
        store: the results folder.
        name: the record's path relative to the results folder.
    """
    found = record.score.headline.filter
    answers: list[Any] = [sample.get("answers") for sample in samples if sample["filter"] == found]
    if not are_generated(answers):
        return None
    texts = [answer[0] for answer in answers] if found == UNFILTERED else _unfiltered(found, len(answers), store, name)
    return form_of(texts, len(answers), record.score.cut_generations)


def form_of(texts: Sequence[str] | None, count: int, cut: int | None) -> AnswerForm:
    """The form of `count` answers with these `texts` (None: not known), of which `cut` reached the token limit."""
    cut_share = cut / count if cut is not None and 0 <= cut <= count else None
    if not texts:
        return AnswerForm(None, None, None, cut_share)
    return AnswerForm(
        answer_length=float(np.mean([len(text) for text in texts])),
        repetition=float(np.mean([repetition_of(text) for text in texts])),
        empty_share=float(np.mean([not text.strip() for text in texts])),
        cut_share=cut_share,
    )


def are_generated(answers: Sequence[Any]) -> bool:
    """Whether the answers of samples are generated texts, and not log-likelihoods."""
    is_text = all(isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], str) for answer in answers)
    return is_text and any(answer[0] != _INFINITE for answer in answers)


def defects(row: Row) -> dict[str, float]:
    """What a row's generated answers mostly are: repetition, empty, cut; each with its share, above one half."""
    names = {"repetition": "repetition", "empty_share": "empty", "cut_share": "cut"}
    return {word: row[column] for column, word in names.items() if (row.get(column) or 0) > _MOSTLY}


def _unfiltered(filter_name: str, count: int, store: Store, name: str) -> list[str] | None:
    """The generated texts from lm-eval's files; None if they do not hold one per item."""
    texts = []
    try:
        for path in lm_eval_files_of(store, name):
            for (_, _, found), sample in read_lm_eval_samples(path):
                if found == filter_name and (text := generated_text(sample)) is not None:
                    texts.append(text)
    except (OSError, *MALFORMED):
        return None
    return texts if len(texts) == count else None


def form_columns(form: AnswerForm | None) -> dict[str, float | None]:
    """The columns of the tidy table that the form of answers fills; empty without generated answers."""
    return asdict(form) if form else {}
