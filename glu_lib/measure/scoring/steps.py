"""One decoding step of a running batch: feed every row its newest token and its draft, and read off what comes next."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from glu_lib.measure.scoring.drafts import agreed
from glu_lib.measure.scoring.finite import check_best
from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.seat_cache import SeatCache
from glu_lib.measure.scoring.seats import Seat, spans
from glu_lib.measure.scoring.shared_attention import Beginning, View

_HEAD_ROWS = 512  # positions whose logits are held at once


def feed(
    forward: SharedForward,
    cache: SeatCache,
    seated: Sequence[Seat],
    drafts: Sequence[Sequence[int]],
    beginning: Beginning | None,
) -> torch.Tensor:
    """Feed every row its newest token and its draft; the hidden states (tokens, hidden), row by row.

    Args:
        forward: forward pass of the model, with the suite's attention in use.
        cache: holds the rows' tokens before the newest one, and has room for the fed ones.
        seated: the rows, in the order of their seats.
        drafts: of each row.
        beginning: what all prompts begin with; None for nothing.
    """
    device, dtype = forward.model.device, forward.model.dtype
    past = 0 if beginning is None else beginning.tokens
    counts = [len(draft) + 1 for draft in drafts]
    fed = [token for seat, draft in zip(seated, drafts, strict=True) for token in (seat.made[-1], *draft)]
    places = [seat.cached + at for seat, count in zip(seated, counts, strict=True) for at in range(count)]
    lengths = [seat.cached + count for seat, count in zip(seated, counts, strict=True)]
    columns = torch.tensor(places).to(device)
    cache.aim_at(columns, max(lengths), counts)
    hidden = forward.states(
        torch.tensor(fed)[:, None],
        position_ids=(columns + past)[:, None],
        past_key_values=cache,
        use_cache=True,
        glu_view=View(beginning, spans(lengths, device, dtype, counts)),
    )
    for seat, draft in zip(seated, drafts, strict=True):
        seat.drafted = len(draft)
    return hidden[:, 0]


def read_off(forward: SharedForward, hidden: torch.Tensor, drafts: Sequence[Sequence[int]]) -> list[list[int]]:
    """The new tokens of each row: as much of its draft as the model chooses too, and one token more.

    Args:
        forward: forward pass of the model.
        hidden: hidden states (tokens, hidden) of each row's newest token and its draft.
        drafts: of each row.

    Raises:
        NotFiniteError: if the logits of a position that counts are not finite.
    """
    chosen, best = [], []
    for positions in hidden.split(_HEAD_ROWS):
        logits = forward.output(positions)  # (positions, vocabulary)
        tokens = logits.argmax(dim=-1)
        best.append(logits.gather(-1, tokens[:, None])[:, 0])
        chosen.append(tokens)
    found = agreed(torch.cat(chosen).tolist(), drafts)
    certain = torch.cat(best)
    if any(drafts):  # of each row the largest logit, by magnitude, among those that count
        parts = certain.split([len(draft) + 1 for draft in drafts])
        certain = torch.stack([part[: len(new)].abs().amax() for part, new in zip(parts, found, strict=True)])
    check_best(certain, forward.model)
    return found
