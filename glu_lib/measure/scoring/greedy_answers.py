"""Greedy answers to prompts: shared prefixes are computed once, stop strings are searched in the newest tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from glu_lib.measure.scoring.budget import Budget
from glu_lib.measure.scoring.continuous import ContinuousDecoder
from glu_lib.measure.scoring.decoding import decode_greedily
from glu_lib.measure.scoring.forward import SharedForward, expanded
from glu_lib.measure.scoring.kept_hflm import is_sampled
from glu_lib.measure.scoring.packing import Tokens, prompt_batches, prompt_families
from glu_lib.study.settings import Attention

# Settings of a generation configuration that never change plain greedy decoding, and the values of other settings that
# do not change it.
_HARMLESS = {
    *("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "transformers_version"),
    *("do_sample", "temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"),
    *("max_length", "use_cache", "_from_model_config", "output_attentions", "output_hidden_states", "output_scores"),
    *("return_dict_in_generate", "num_return_sequences", "disable_compile"),
}
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "repetition_penalty": (1.0,),
    "encoder_repetition_penalty": (1.0,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "length_penalty": (1.0,),
    "diversity_penalty": (0.0,),
    "guidance_scale": (1.0,),
    "early_stopping": (False,),
    "renormalize_logits": (False,),
    "remove_invalid_values": (False,),
}
_REQUEST_OPTIONS = {"until", "max_gen_toks", "do_sample", "temperature", "max_new_tokens", "max_tokens"}


def is_plain_greedy(options: Mapping[str, Any], config: Any) -> bool:
    """Whether a request's options and the model's generation configuration mean plain greedy decoding."""
    return not own_settings(config) and set(options) <= _REQUEST_OPTIONS and not is_sampled(options)


def own_settings(config: Any) -> dict[str, Any]:
    """The settings of a model's generation configuration that change greedy decoding, such as a repetition penalty."""
    said = {name: value for name, value in config.to_diff_dict().items() if name not in _HARMLESS}
    return {name: value for name, value in said.items() if value is not None and value not in _NEUTRAL.get(name, ())}


@dataclass(frozen=True, slots=True)
class StopRule:
    """Ends a generation at an end-of-text token, or when the text contains a stop string."""

    stops: Sequence[str]
    end_tokens: frozenset[int]
    decode: Callable[[list[int]], str] = field(repr=False)

    def is_met(self, tokens: Sequence[int]) -> bool:
        """Whether the new tokens end the generation. To save time, only the last tokens are decoded at first."""
        if tokens[-1] in self.end_tokens:
            return True
        # A token may be a single byte or decode to nothing, so the tail has more tokens than the longest stop string
        # has bytes.
        tail = max((len(stop.encode()) for stop in self.stops), default=0) + 8
        text = self.decode(list(tokens[-tail:]))
        if not any(stop in text for stop in self.stops if stop):
            return False
        whole = self.decode(list(tokens))
        return any(stop in whole for stop in self.stops if stop)


class GrowingAnswers(Protocol):
    """Journal of answers: gives those of earlier runs, and stores those of this run while they grow."""

    def finished(self, prompt: Tokens) -> list[int] | None:
        """The new tokens of a finished answer; None if the answer is not finished."""

    def begun(self, prompt: Tokens) -> list[int]:
        """The new tokens of an interrupted answer; usually empty."""

    def grow(self, made: Mapping[Tokens, Sequence[int]]) -> None:
        """Called after each step with the new tokens of a batch."""


def generate(
    forward: SharedForward,
    prompts: Sequence[Tokens],
    budget: Budget,
    *,
    max_new_tokens: int,
    rule: StopRule,
    progress: GrowingAnswers | None = None,
    longest_draft: int | None = None,
) -> Iterator[dict[Tokens, list[int]]]:
    """Yield finished answers: some prompts with their new tokens, including the token that stopped the generation.

    Finished answers of earlier runs are not computed. An interrupted answer continues from its journaled tokens; their
    keys and values are computed in one pass, which equals decoding token by token up to rounding. With the suite's
    attention the next prompt takes the seat of an answer that ends, and the model checks drafts of several tokens at
    once; with the model's own, batches are decoded one after the other.

    Args:
        forward: forward pass of the model.
        prompts: token ids, at least one each; a duplicate prompt is answered once.
        budget: size of a batch; shrinks when memory runs out.
        max_new_tokens: most new tokens of a prompt.
        rule: decides when an answer is finished.
        progress: journal of earlier runs and of this one; without it everything is computed.
        longest_draft: most tokens of a draft, None for what suits the device; only the suite's attention has drafts.

    Raises:
        RuntimeError: if memory runs out with a single prompt.
    """
    if forward.attention is Attention.SHARED:
        yield from _continuously(forward, prompts, budget, max_new_tokens, rule, progress, longest_draft)
    else:
        yield from _in_batches(forward, prompts, budget, max_new_tokens, rule, progress)


def _continuously(
    forward: SharedForward,
    prompts: Sequence[Tokens],
    budget: Budget,
    max_new_tokens: int,
    rule: StopRule,
    progress: GrowingAnswers | None,
    longest_draft: int | None,
) -> Iterator[dict[Tokens, list[int]]]:
    answers = {prompt: _so_far(prompt, progress) for prompt in prompts}
    known = {prompt: tokens for prompt, tokens in answers.items() if _is_whole(tokens, max_new_tokens, rule)}
    if known:
        yield known
    left = [prompt for prompt in answers if prompt not in known]
    for prefix, members in prompt_families(left, budget.sequences, max_new_tokens):
        beginning = budget.once(partial(forward.prefix_cache, prefix))
        decoder = ContinuousDecoder(
            forward,
            beginning,
            budget,
            max_new_tokens=max_new_tokens,
            has_stopped=rule.is_met,
            observe=progress.grow if progress else lambda _made: None,
            longest_draft=longest_draft,
        )
        yield from decoder.answers([(prompt, answers[prompt]) for prompt in members])


def _in_batches(
    forward: SharedForward,
    prompts: Sequence[Tokens],
    budget: Budget,
    max_new_tokens: int,
    rule: StopRule,
    progress: GrowingAnswers | None,
) -> Iterator[dict[Tokens, list[int]]]:
    for prefix, batch in prompt_batches(prompts, budget.sequences):
        known = {prompt: tokens for prompt in batch if progress and (tokens := progress.finished(prompt)) is not None}
        if len(known) == len(batch):  # not even the prefix has to be computed
            yield known
            continue
        shared = budget.once(partial(forward.prefix_cache, prefix))

        def work(members: Sequence[Tokens], prefix: Tokens = prefix, shared: Any = shared) -> dict[Tokens, list[int]]:
            answers = {prompt: _so_far(prompt, progress) for prompt in members}
            left = [prompt for prompt, tokens in answers.items() if not _is_whole(tokens, max_new_tokens, rule)]
            if not left:
                return answers
            made = decode_greedily(
                forward.model,
                [prompt[len(prefix) :] for prompt in left],
                past=len(prefix),
                cache=expanded(shared, len(left)),
                max_new_tokens=max_new_tokens,
                has_stopped=rule.is_met,
                begun=[answers[prompt] for prompt in left],
                observe=lambda made: progress.grow(dict(zip(left, made, strict=True))) if progress else None,
            )
            return answers | dict(zip(left, made, strict=True))

        yield from budget.run(batch, lambda _left: budget.sequences, work)


def _so_far(prompt: Tokens, progress: GrowingAnswers | None) -> list[int]:
    if progress is None:
        return []
    found = progress.finished(prompt)
    return progress.begun(prompt) if found is None else found


def _is_whole(tokens: Sequence[int], max_new_tokens: int, rule: StopRule) -> bool:
    return bool(tokens) and (len(tokens) >= max_new_tokens or rule.is_met(tokens))
