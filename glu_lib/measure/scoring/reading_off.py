"""Scores from hidden states: the LM head is applied once per distinct scored position."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own convention)

from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.packing import Tokens

_LOGIT_ROWS = 256  # scored positions per call of the LM head; memory is this × vocabulary size × 4 bytes

ScoredAnswer = tuple[float, bool]


@dataclass(frozen=True, slots=True)
class Scored:
    """A request in a batch: its scored tokens `targets`, and their flat indices `places` (row × width + position)."""

    request: int
    places: list[int]
    targets: Tokens

    def within(self, start: int, stop: int) -> Scored:
        """What of it lies at the flat indices `start` to `stop`, counted from `start`."""
        here = [at for at, place in enumerate(self.places) if start <= place < stop]
        return Scored(self.request, [self.places[at] - start for at in here], tuple(self.targets[at] for at in here))


@torch.inference_mode()
def read_off(
    forward: SharedForward, hidden: torch.Tensor, scored: Sequence[Scored], softmax_dtype: torch.dtype
) -> dict[int, ScoredAnswer]:
    """Apply the LM head once per distinct scored position, and return the targets' scores by request."""
    device = hidden.device
    asked = torch.tensor([place for item in scored for place in item.places], device=device)
    targets = torch.tensor([target for item in scored for target in item.targets], device=device)
    places, which = asked.unique(return_inverse=True)
    chosen = hidden.flatten(0, 1)[places]  # (places, hidden)
    logprobs = torch.empty(len(asked), dtype=torch.float32, device=device)
    greedy = torch.empty(len(asked), dtype=torch.bool, device=device)
    for start in range(0, len(places), _LOGIT_ROWS):
        logits = forward.output(chosen[start : start + _LOGIT_ROWS])  # (≤ 256, vocabulary)
        here = ((which >= start) & (which < start + _LOGIT_ROWS)).nonzero().squeeze(1)
        local, wanted = which[here] - start, targets[here]
        logprobs[here] = F.log_softmax(logits, dim=-1, dtype=softmax_dtype)[local, wanted].float()
        greedy[here] = logits.argmax(dim=-1)[local] == wanted
    sizes = [len(item.targets) for item in scored]
    parts = zip(scored, logprobs.cpu().split(sizes), greedy.cpu().split(sizes), strict=True)
    return {item.request: (float(values.sum()), bool(flags.all())) for item, values, flags in parts}


def read_off_pieces(
    forward: SharedForward, pieces: Iterable[torch.Tensor], scored: Sequence[Scored], softmax_dtype: torch.dtype
) -> dict[int, ScoredAnswer]:
    """As `read_off` for one row, whose hidden states (1, tokens, hidden) come in `pieces`; each is read off at once."""
    found: dict[int, ScoredAnswer] = {item.request: (0.0, True) for item in scored}
    offset = 0
    for states in pieces:
        end = offset + states.shape[1]
        here = [part for item in scored if (part := item.within(offset, end)).places]
        for request, (logprob, is_greedy) in read_off(forward, states, here, softmax_dtype).items() if here else ():
            total, is_all_greedy = found[request]
            found[request] = (total + logprob, is_all_greedy and is_greedy)
        offset = end
    return found
