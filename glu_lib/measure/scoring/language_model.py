"""The suite's lm-eval model: computes each distinct prefix once, and the LM head only at scored positions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from lm_eval.api.registry import register_model
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm.auto import tqdm

from glu_lib.errors import MeasurementError
from glu_lib.measure.scoring.checked_hflm import CheckedHFLM
from glu_lib.measure.scoring.encoding import Encoded, check_sizes
from glu_lib.measure.scoring.finite import check_scores
from glu_lib.measure.scoring.greedy_answers import StopRule, generate, is_plain_greedy
from glu_lib.measure.scoring.kept import KeptScores, KeptTokens
from glu_lib.measure.scoring.likelihood import LikelihoodPlan
from glu_lib.measure.scoring.packing import Tokens
from glu_lib.measure.scoring.prefix_sharing import PrefixSharingHFLM
from glu_lib.measure.scoring.reading_off import ScoredAnswer
from glu_lib.measure.scoring.shown_answers import ShownAnswers
from glu_lib.models.loading import end_tokens


@register_model("glu")
class SharedPrefixLM(PrefixSharingHFLM):
    """An `HFLM` that computes shared prefixes once. Arguments as in `HFLM`, and `encodings`.

    Since the last reset, `forwarded_tokens` counts the tokens of all forward passes, and `distinct_tokens` the least
    number that the log-likelihoods needed; the closer their ratio is to 1, the better prefixes are shared. A batch that
    does not fit into memory is halved and retried; `batch_size` is then the reduced size.
    """

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[ScoredAnswer]:
        """Log-probability of each continuation after its context, and whether greedy decoding would give it.

        Args:
            requests: lm-eval instances of (context, continuation).
            disable_tqdm: whether to hide the progress bar.

        Raises:
            MeasurementError: if a continuation is empty, longer than the model's context, or shares a token with its
                context.
            NotFiniteError: if a log-probability is NaN or +inf.
        """
        if not self._shares_prefixes():
            fallback: list[ScoredAnswer] = super().loglikelihood(requests, disable_tqdm)
            return fallback
        encode = self.tok_encode
        encoded = []
        for request in tqdm(requests, disable=disable_tqdm, desc="Tokenizing inputs"):
            context, continuation = request.args
            encoded.append(
                self._encodings.pair(context, continuation, encode) if context else self._without_context(continuation)
            )
        return self._score(encoded, [request.args for request in requests], disable_tqdm)

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probabilities of whole texts, split into disjoint windows of the model's context, as in `HFLM`.

        Args:
            requests: lm-eval instances of (text,).
            disable_tqdm: whether to hide the progress bar.
        """
        if not self._shares_prefixes():
            fallback: list[float] = super().loglikelihood_rolling(requests, disable_tqdm)
            return fallback
        windows: list[Encoded] = []
        owners: list[int] = []
        for index, request in enumerate(requests):
            tokens = self._encodings.text(request.args[0], self.tok_encode).tolist()
            cut = get_rolling_token_windows(tokens, self.prefix_token_id, self.max_length, 1)
            for context, continuation in map(make_disjoint_window, cut):
                windows.append(Encoded.of(context, continuation))
                owners.append(index)
        totals = [0.0] * len(requests)
        for index, (logprob, _) in zip(owners, self._score(windows, None, disable_tqdm), strict=True):
            totals[index] += logprob
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def score_tokens(
        self, requests: list[Any], disable_tqdm: bool = False, override_bs: int | None = None, **options: Any
    ) -> list[ScoredAnswer]:
        """Score (strings, context tokens, continuation tokens); other arguments as in `HFLM`."""
        if not self._shares_prefixes():
            fallback: list[ScoredAnswer] = super().score_tokens(requests, disable_tqdm, override_bs, **options)
            return fallback
        encoded = [Encoded.of(context, continuation) for _, context, continuation in requests]
        return self._score(encoded, [strings for strings, _, _ in requests], disable_tqdm)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The same greedy answers as from `HFLM`, with shared prefixes of prompts computed once.

        Requests for anything but plain greedy decoding go to `HFLM`.
        """
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            groups[repr(sorted(request.args[1].items(), key=str))].append(index)
        answers: list[str] = [""] * len(requests)
        for indices in groups.values():
            members = [requests[index] for index in indices]
            if self._decodes_greedily(members[0].args[1]):
                texts = self._generate_group(members, disable_tqdm)
            else:
                texts = super().generate_until(members, disable_tqdm)
            for index, text in zip(indices, texts, strict=True):
                answers[index] = text
        return answers

    def _without_context(self, continuation: str) -> Encoded:
        """A continuation without context: scored after the prefix token, which is not added if it is already there."""
        tokens = self.tok_encode(continuation, add_special_tokens=False)
        if tokens and tokens[0] == self.prefix_token_id:
            return Encoded.of(tokens[:1], tokens[1:])
        return Encoded.of([self.prefix_token_id], tokens)

    def _score(
        self, encoded: Sequence[Encoded], strings: Sequence[Any] | None, disable_tqdm: bool
    ) -> list[ScoredAnswer]:
        """Score requests; `strings` are their keys in lm-eval's own cache."""
        for request in encoded:
            check_sizes(request.context, request.continuation, self.max_length)
            self._text_check.check_ids(request.context[:1])  # may be the prefix token, which no encoding has checked
        self._count_requests((request.context, request.continuation) for request in encoded)
        plan = LikelihoodPlan(encoded, self.max_length)
        self.distinct_tokens += plan.distinct_tokens()
        scores: list[ScoredAnswer] = [(0.0, True)] * len(encoded)
        dtype = self.softmax_dtype or torch.float32
        kept = KeptScores.of(encoded, self.answers)
        with (
            self.work_window(),
            self._forward.own_attention(),
            self._budget() as budget,
            tqdm(total=len(encoded), disable=disable_tqdm, desc="Running loglikelihood requests") as bar,
        ):
            for found in plan.score(self._forward, budget, dtype, kept.known, partial(_show_tokens, bar)):
                check_scores([logprob for logprob, _ in found.values()], self.model)
                kept.add(found, self._reduced(budget))
                for index, score in found.items():
                    scores[index] = score
                    if strings is not None:
                        self.cache_hook.add_partial("loglikelihood", strings[index], score)
                bar.set_postfix_str("", refresh=False)
                bar.update(len(found))
        return scores

    def _generate_group(self, requests: list[Any], disable_tqdm: bool) -> list[str]:
        """Answer requests that have the same generation settings."""
        options = normalize_gen_kwargs(dict(requests[0].args[1]), self.max_gen_toks)
        limit = options["max_gen_toks"]
        if not 0 < limit < self.max_length:
            raise MeasurementError(
                f"max_gen_toks is {limit}: it must be at least 1 and leave room for a prompt in the model's context of "
                f"{self.max_length} tokens; choose another value, or leave the task out for this model"
            )
        rule = self._stop_rule(options.get("until"))
        wanted: defaultdict[Tokens, list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            prompt, was_cut = self._encodings.prompt(request.args[0], self.max_length - limit, self._encode_prompt)
            self.truncated_prompts += was_cut
            wanted[prompt].append(index)
        answers: list[str | None] = [None] * len(requests)
        kept = KeptTokens(self.answers, limit, rule.stops) if self.answers else None
        with (
            self.work_window(),
            self._forward.own_attention(),
            self._budget() as budget,
            tqdm(total=len(requests), disable=disable_tqdm, desc="Running generate_until requests") as bar,
        ):
            shown = ShownAnswers(kept, bar)
            for made in generate(self._forward, list(wanted), budget, max_new_tokens=limit, rule=rule, progress=shown):
                if kept:
                    kept.add(made, self._reduced(budget))
                for prompt, tokens in made.items():
                    text = postprocess_generated_text(self.tok_decode(tokens), stop=rule.stops, think_end_token=None)
                    self.cut_generations += len(wanted[prompt]) * (not rule.is_met(tokens))
                    for index in wanted[prompt]:
                        answers[index] = text
                        self.cache_hook.add_partial("generate_until", requests[index].args, text)
                    bar.update(len(wanted[prompt]))
        found = [answer for answer in answers if answer is not None]
        if len(found) < len(answers):
            lost = len(answers) - len(found)
            raise MeasurementError(f"{lost} of {len(answers)} prompts got no answer; run the case again")
        return found

    def _encode_prompt(self, text: str, room: int) -> tuple[Tokens, bool]:
        """Encode one prompt with special tokens as in `HFLM`, but alone, so that there is no padding."""
        tokens = tuple(CheckedHFLM.tok_batch_encode(self, [text])[0][0].tolist())
        return tokens[-room:], len(tokens) > room

    def _stop_rule(self, until: Any) -> StopRule:
        eos = self.tok_decode(self.eot_token_id, skip_special_tokens=False)
        decode: Callable[[list[int]], str] = lambda tokens: self.tok_decode(tokens, skip_special_tokens=False)  # noqa: E731
        return StopRule(handle_stop_sequences(until, eos=eos), end_tokens(self.model) | {self.eot_token_id}, decode)

    def _decodes_greedily(self, options: Any) -> bool:
        return (
            self._shares_prefixes()
            and self.think_end_token is None
            and is_plain_greedy(options, self.model.generation_config)
        )


def _show_tokens(bar: Any, done: int, total: int) -> None:
    """Show how far a long row is, so that the minutes until it is scored do not look like a standstill."""
    bar.set_postfix_str(f"{done} of {total} tokens")
