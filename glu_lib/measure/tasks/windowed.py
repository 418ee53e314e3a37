"""Token perplexity of one long text in windows of fixed length, as papers on compression report it.

The recipe is that of GPTQ (github.com/IST-DASLab/gptq, `datautils.py` and `llama.py`), wanda and SliceGPT: the whole
text is tokenized once, with the tokenizer's own special tokens at its beginning, and cut into windows that do not
overlap; what is left at the end is dropped. Each window is scored alone: its first token is only read, the others are
scored. The perplexity is exp(-Σ log p / n) over all n scored tokens of all windows, in nats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from glu_lib.errors import MeasurementError
from glu_lib.measure.tasks.window_sizes import window_size
from glu_lib.study import Task

if TYPE_CHECKING:
    from glu_lib.measure.scoring.kept_hflm import KeepingHFLM

REQUEST_TYPE = "loglikelihood_windows"  # the method of the lm-eval model that scores a window


class WindowedText(ConfigurableTask):  # type: ignore[misc]  # lm-eval ships no type information
    """An lm-eval task whose documents are the windows of one text; `cut` makes them, by the model's tokenizer."""

    _windows: list[dict[str, Any]] | None = None
    _tokens: tuple[tuple[int, ...], ...] = ()

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Load the text; `config` is the task's YAML file."""
        super().__init__(config={name: value for name, value in config.items() if name != "class"})

    @property
    def eval_docs(self) -> Any:
        """The windows; before `cut` the whole text as one document."""
        return super().eval_docs if self._windows is None else self._windows

    def cut(self, lm: KeepingHFLM, size: int) -> bool:
        """Make windows of `size` tokens; whether they differ from those made before.

        Raises:
            MeasurementError: if the text is shorter than one window.
        """
        (whole,) = super().eval_docs
        tokens = lm.whole_text(whole["text"])
        count = min(len(tokens) // size, whole["most_windows"] or len(tokens))
        if not count:
            raise MeasurementError(
                f"the text has {len(tokens)} tokens, less than one window of {size}; choose a shorter window"
            )
        found = tuple(tuple(tokens[start : start + size]) for start in range(0, count * size, size))
        if found == self._tokens:
            return False
        self._tokens = found
        self._windows = [
            {"text": lm.tok_decode(list(window), skip_special_tokens=False), "window": number, "tokens": size - 1}
            for number, window in enumerate(found)
        ]
        return True

    def construct_requests(self, doc: dict[str, Any], ctx: Any, **options: Any) -> Instance:  # noqa: ARG002
        """The request of a window: its text, for the samples, and its tokens."""
        options = {name: options[name] for name in ("metadata",) if name in options}
        arguments = (doc["text"], self._tokens[doc["window"]])
        return Instance(request_type=REQUEST_TYPE, doc=doc, arguments=arguments, idx=0, **options)


def process_results(doc: Mapping[str, Any], results: list[float]) -> dict[str, tuple[float, int]]:
    """The log-likelihood of a window in nats, and the number of its scored tokens."""
    (logprob,) = results
    return {"token_perplexity": (logprob, doc["tokens"])}


def cut_windows(lm: KeepingHFLM, task: Task, loaded: Any) -> int | None:
    """Cut the text of a loaded task into windows by the model's tokenizer.

    Returns:
        Tokens of a window; None if the task has no windows.

    Raises:
        MeasurementError: if a window does not fit into the model's context, or the text is shorter than one.
    """
    if task.window is None:
        return None
    size = window_size(task, lm.max_length)
    for lm_eval_task in loaded["tasks"].values():
        if lm_eval_task.cut(lm, size):
            lm_eval_task.build_all_requests.forget()
    return size
