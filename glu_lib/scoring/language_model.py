"""The suite's lm-eval model: each distinct prefix is computed once, the output layer runs at scored positions only.

Right for every decoder that takes a four-dimensional attention mask, explicit positions and a cache; whether a
model does is tried out once on random tokens. One that does not is left to lm-eval's own `HFLM`.
"""

from __future__ import annotations

import copy
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own convention)
from lm_eval.api.registry import register_model
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from tqdm.auto import tqdm

from glu_lib.overflow import CountingHFLM
from glu_lib.scoring.decoding import decode_greedily
from glu_lib.scoring.packing import Group, Tokens, Tree, distinct_tokens, plan, prompt_batches, rows

_LOGGER = logging.getLogger(__name__)
_ROW_TOKENS = 512  # attention costs row², the layers row: longer rows save nothing more
_TOKENS_PER_SEQUENCE = 64  # the budget of a batch in tokens, per sequence of `batch_size`
_LOGIT_ROWS = 256  # scored positions per call of the output layer: × vocabulary × 4 bytes of memory
_TOLERANCE = 1e-3  # of the self-check, relative; a wrong mask or position is off by more than 0.1


# Generation settings that change greedy decoding, with the values at which they do not.
_PLAIN_GENERATION: dict[str, tuple[object, ...]] = {
    "repetition_penalty": (1.0,),
    "no_repeat_ngram_size": (0,),
    "num_beams": (1,),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "bad_words_ids": (),
    "suppress_tokens": (),
    "begin_suppress_tokens": (),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "sequence_bias": (),
}


@dataclass(frozen=True, slots=True)
class _Scored:
    """A request's scored positions in a batch: (row, position) and target token of each, in order."""

    request: int
    places: list[tuple[int, int]]
    targets: Tokens


@register_model("glu")
class SharedPrefixLM(CountingHFLM):
    """`HFLM` that scores log-likelihoods at the speed of distinct tokens; arguments as `HFLM`.

    `forwarded_tokens` and `distinct_tokens` count what was computed and what had to be, since the last
    reset: their ratio is near 1 where prefixes are shared well.
    """

    forwarded_tokens: int = 0
    distinct_tokens: int = 0
    _can_share: bool | None = None

    def reset_counts(self) -> None:
        """Start counting anew, for the next task."""
        super().reset_counts()
        self.forwarded_tokens = self.distinct_tokens = 0

    def _loglikelihood_tokens(
        self, requests: list[Any], disable_tqdm: bool = False, override_bs: int | None = None, **options: Any
    ) -> list[tuple[float, bool]]:
        """Log-probability of each continuation after its context, and whether greedy decoding would give it.

        Args:
            requests: (strings, context tokens, continuation tokens).
            disable_tqdm: draw no progress bar.
            override_bs: as in `HFLM`.
            **options: as in `HFLM`.
        """
        if not self._shares_prefixes():
            fallback: list[tuple[float, bool]] = super()._loglikelihood_tokens(
                requests, disable_tqdm, override_bs, **options
            )
            return fallback
        self._count_truncated(requests)
        # Too long requests lose their beginning, as in HFLM; the last token is only predicted, never an input.
        whole = [tuple([*context, *continuation][-(self.max_length + 1) :]) for _, context, continuation in requests]
        wanted: defaultdict[Tokens, list[int]] = defaultdict(list)
        for index, tokens in enumerate(whole):
            wanted[tokens[:-1]].append(index)
        counts = [len(continuation) for _, _, continuation in requests]
        scored = {tokens: max(counts[index] for index in indices) for tokens, indices in wanted.items()}
        self.distinct_tokens += distinct_tokens(scored)
        scores: list[tuple[float, bool]] = [(0.0, True)] * len(requests)
        with tqdm(total=len(requests), disable=disable_tqdm, desc="Running loglikelihood requests") as bar:
            for group in plan(scored, _ROW_TOKENS):
                for found in self._score_group(group, wanted, whole, counts):
                    for index, score in found.items():
                        scores[index] = score
                        self.cache_hook.add_partial("loglikelihood", requests[index][0], score)
                    bar.update(len(found))
        return scores

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Greedy answers as `HFLM` gives them; shared beginnings of prompts are computed once.

        Requests that ask for anything but plain greedy decoding are left to `HFLM`.
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

    def _generate_group(self, requests: list[Any], disable_tqdm: bool) -> list[str]:
        """Answer requests that share their generation settings."""
        options = normalize_gen_kwargs(dict(requests[0].args[1]), self.max_gen_toks)
        limit = options["max_gen_toks"]
        eos = self.tok_decode(self.eot_token_id, skip_special_tokens=False)
        stops = handle_stop_sequences(options.get("until"), eos=eos)
        room = self.max_length - limit
        # One prompt at a time gives its own tokens, special ones as in HFLM, without padding.
        prompts = [
            tuple(self.tok_batch_encode([request.args[0]], left_truncate_len=room)[0][0].tolist())
            for request in requests
        ]
        wanted: defaultdict[Tokens, list[int]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            wanted[prompt].append(index)
        answers: list[str] = [""] * len(requests)
        with tqdm(total=len(requests), disable=disable_tqdm, desc="Running generate_until requests") as bar:
            for prefix, batch in prompt_batches(list(wanted), self.batch_size):
                cache = _expanded(self._prefix_cache(prefix), len(batch))
                made = decode_greedily(
                    self.model,
                    [prompt[len(prefix) :] for prompt in batch],
                    past=len(prefix),
                    cache=cache,
                    max_new_tokens=limit,
                    has_stopped=partial(self._is_finished, stops=stops),
                )
                for prompt, tokens in zip(batch, made, strict=True):
                    text = postprocess_generated_text(self.tok_decode(tokens), stop=stops, think_end_token=None)
                    self.cut_generations += len(wanted[prompt]) * (not self._is_finished(tokens, stops=stops))
                    for index in wanted[prompt]:
                        answers[index] = text
                        self.cache_hook.add_partial("generate_until", requests[index].args, text)
                    bar.update(len(wanted[prompt]))
        return answers

    def _is_finished(self, tokens: Sequence[int], *, stops: Sequence[str]) -> bool:
        """Whether new tokens hold an end-of-text token or end in a stop string; only their tail is decoded."""
        if tokens[-1] in self._end_tokens():
            return True
        # A token may decode to nothing (half of a character), so the tail is longer than the longest stop string.
        tail = max(map(len, stops), default=0) + 8
        text = self.tok_decode(list(tokens[-tail:]), skip_special_tokens=False)
        if not any(stop in text for stop in stops if stop):
            return False
        whole = self.tok_decode(list(tokens), skip_special_tokens=False)
        return any(stop in whole for stop in stops if stop)

    def _end_tokens(self) -> set[int]:
        found = self.model.generation_config.eos_token_id
        listed = found if isinstance(found, list) else [] if found is None else [found]
        return {*listed, self.eot_token_id}

    def _decodes_greedily(self, options: Mapping[str, Any]) -> bool:
        """Whether the settings, and the model's own generation configuration, mean plain greedy decoding."""
        if not self._shares_prefixes() or self.think_end_token is not None or options.get("do_sample"):
            return False
        known = {"until", "max_gen_toks", "do_sample", "temperature", "max_new_tokens", "max_tokens"}
        config = self.model.generation_config
        plain = all(getattr(config, name, None) in (None, *values) for name, values in _PLAIN_GENERATION.items())
        return plain and set(options) <= known and not options.get("temperature")

    def _score_group(
        self, group: Group, wanted: Mapping[Tokens, list[int]], whole: Sequence[Tokens], counts: Sequence[int]
    ) -> Iterator[dict[int, tuple[float, bool]]]:
        """Score a group batch by batch: request index to (log-probability, greedy)."""
        cache = self._prefix_cache(group.prefix)
        packed = rows(group.trees, _ROW_TOKENS)
        budget = max(1, self.batch_size * _TOKENS_PER_SEQUENCE)
        while packed:
            width = sum(len(tree.tokens) for tree in packed[0])  # the first row is the widest
            take = max(1, budget // width)
            batch, packed = packed[:take], packed[take:]
            hidden = self._hidden_states(batch, len(group.prefix), cache)  # (rows, width, hidden)
            yield self._score_batch(hidden, list(_scored(batch, group.prefix, wanted, whole, counts)))

    def _score_batch(self, hidden: torch.Tensor, scored: Sequence[_Scored]) -> dict[int, tuple[float, bool]]:
        """Apply the output layer at the scored positions, each once, and read the targets off."""
        places = list(dict.fromkeys(place for item in scored for place in item.places))
        number = {place: k for k, place in enumerate(places)}
        asked = [
            (number[place], target) for item in scored for place, target in zip(item.places, item.targets, strict=True)
        ]
        which = torch.tensor([k for k, _ in asked], device=hidden.device)
        targets = torch.tensor([target for _, target in asked], device=hidden.device)
        row, position = torch.tensor(places, device=hidden.device).T
        chosen = hidden[row, position]  # (places, hidden)
        logprobs = torch.empty(len(asked), dtype=torch.float32, device=hidden.device)
        greedy = torch.empty(len(asked), dtype=torch.bool, device=hidden.device)
        for start in range(0, len(places), _LOGIT_ROWS):
            logits = self._output(chosen[start : start + _LOGIT_ROWS])  # (≤ 256, vocabulary)
            here = ((which >= start) & (which < start + _LOGIT_ROWS)).nonzero().squeeze(1)
            local, wanted = which[here] - start, targets[here]
            logprobs[here] = F.log_softmax(logits, dim=-1, dtype=self.softmax_dtype)[local, wanted].float()
            greedy[here] = logits.argmax(dim=-1)[local] == wanted
        sizes = [len(item.targets) for item in scored]
        parts = zip(scored, logprobs.cpu().split(sizes), greedy.cpu().split(sizes), strict=True)
        return {item.request: (float(values.sum()), bool(flags.all())) for item, values, flags in parts}

    @torch.inference_mode()
    def _hidden_states(self, batch: Sequence[Sequence[Tree]], past: int, cache: Any) -> torch.Tensor:
        """Forward rows of trees after a cached prefix of `past` tokens; returns (rows, width, hidden)."""
        sizes = [sum(len(tree.tokens) for tree in row) for row in batch]
        width = max(sizes)
        tokens = torch.zeros((len(batch), width), dtype=torch.long)
        positions = torch.zeros((len(batch), width), dtype=torch.long)
        allowed = torch.eye(width, dtype=torch.bool).repeat(len(batch), 1, 1)  # padding sees itself: no empty softmax
        for index, row in enumerate(batch):
            offset = 0
            for tree in row:
                end = offset + len(tree.tokens)
                tokens[index, offset:end] = torch.tensor(tree.tokens)
                positions[index, offset:end] = torch.tensor(tree.depths) + past
                allowed[index, offset:end, offset:end] = _ancestors(tree)
                offset = end
        allowed = torch.cat([torch.ones((len(batch), width, past), dtype=torch.bool), allowed], dim=2)
        self.forwarded_tokens += sum(sizes)
        model = self._backbone()
        output = model(
            input_ids=tokens.to(self.device),
            attention_mask=self._additive(allowed),
            position_ids=positions.to(self.device),
            past_key_values=_expanded(cache, len(batch)),
            use_cache=cache is not None,
        )
        return output.last_hidden_state  # type: ignore[no-any-return]

    @torch.inference_mode()
    def _prefix_cache(self, prefix: Tokens) -> Any:
        """Keys and values of a shared prefix, one row; None for an empty one."""
        if not prefix:
            return None
        self.forwarded_tokens += len(prefix)
        tokens = torch.tensor([prefix], device=self.device)
        return self._backbone()(input_ids=tokens, use_cache=True).past_key_values

    @torch.inference_mode()
    def _output(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits (positions, vocabulary) of hidden states (positions, hidden)."""
        logits: torch.Tensor = self.model.get_output_embeddings()(hidden)
        return logits

    def _additive(self, allowed: torch.Tensor) -> torch.Tensor:
        """A boolean mask (rows, width, keys) as the (rows, 1, width, keys) that is added to attention scores."""
        mask = torch.zeros(allowed.shape, dtype=self.model.dtype)
        mask.masked_fill_(~allowed, torch.finfo(self.model.dtype).min)
        return mask[:, None].to(self.device)

    def _backbone(self) -> Any:
        """The decoder without its output layer."""
        return self.model.base_model

    def _shares_prefixes(self) -> bool:
        """Whether this model gives the same logits on packed trees as on plain sequences; tried out once."""
        if self._can_share is None:
            self._can_share = self.backend == "causal" and self._check()
            if not self._can_share:
                _LOGGER.warning("%s is scored by lm-eval's HFLM: prefixes cannot be shared", type(self.model).__name__)
        return self._can_share

    @torch.inference_mode()
    def _check(self) -> bool:
        """Compare a cached prefix with two branches against the plain forward pass of both sequences."""
        length = min(24, self.max_length - 1)
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(0, self.vocab_size, (2, length), generator=generator)
        tokens[1, : length // 2] = tokens[0, : length // 2]
        first, second = (tuple(row.tolist()) for row in tokens)
        cut = max(1, length // 4)
        tree = Tree()
        path = tree.add(first[cut:], (), 0)
        tree.add(second[cut:], path, length // 2 - cut)
        try:
            hidden = self._hidden_states([[tree]], cut, self._prefix_cache(first[:cut]))
            packed = torch.stack([self._output(hidden[0, nodes]) for nodes in tree.paths.values()])
            plain = self.model(tokens.to(self.device)).logits[:, cut:]
        except (AttributeError, TypeError, ValueError, RuntimeError, IndexError):
            return False
        scale = plain.float().abs().max().clamp(min=1.0)
        # bfloat16 has 8 bits: its own rounding is the bound there.
        tolerance = max(_TOLERANCE, 4 * torch.finfo(self.model.dtype).eps)
        return bool(((packed - plain).float().abs().max() / scale) < tolerance)


def _scored(
    batch: Sequence[Sequence[Tree]],
    prefix: Tokens,
    wanted: Mapping[Tokens, list[int]],
    whole: Sequence[Tokens],
    counts: Sequence[int],
) -> Iterator[_Scored]:
    """Where in a batch each request's continuation is scored: after the last tokens of its path."""
    for row, trees in enumerate(batch):
        offset = 0
        for tree in trees:
            for suffix, path in tree.paths.items():
                for index in wanted[prefix + suffix]:
                    nodes = path[len(path) - counts[index] :]
                    yield _Scored(index, [(row, offset + node) for node in nodes], whole[index][-counts[index] :])
            offset += len(tree.tokens)


def _ancestors(tree: Tree) -> torch.Tensor:
    """Boolean (size, size): may a token attend to another, that is: is it an ancestor or the token itself."""
    size = len(tree.tokens)
    allowed = torch.zeros((size, size), dtype=torch.bool)
    # A run of nodes, each the child of the one before: what the run's root may see, and the run up to itself.
    starts = [node for node, parent in enumerate(tree.parents) if parent != node - 1 or node == 0]
    for start, stop in pairwise([*starts, size]):
        if tree.parents[start] >= 0:
            allowed[start:stop] = allowed[tree.parents[start]]
        allowed[start:stop, start:stop] = torch.ones((stop - start, stop - start), dtype=torch.bool).tril()
    return allowed


def _expanded(cache: Any, count: int) -> Any:
    """A copy of a one-row cache for `count` rows: the forward pass appends to it."""
    if cache is None:
        return None
    repeated = copy.deepcopy(cache)
    repeated.batch_repeat_interleave(count)
    return repeated
