"""A key/value cache that grows in place: a decoding step writes only its new token and copies no earlier ones."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

_ROOM = 128  # tokens allocated ahead


class GrowingLayer(DynamicLayer):
    """Keys and values (rows, heads, tokens, head size) as views of buffers with room for further tokens."""

    def __init__(self, layer: DynamicLayer) -> None:
        """Take over the keys and values of `layer`."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.__dict__.update(layer.__dict__)
        self._buffers: dict[str, torch.Tensor] = {}

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_options: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the states of new tokens and return all keys and values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
        else:
            assert self.keys is not None
            assert self.values is not None
            self.keys = self._appended("keys", self.keys, key_states)
            self.values = self._appended("values", self.values, value_states)
        return self.keys, self.values

    def _appended(self, name: str, held: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        size, total = held.shape[-2], held.shape[-2] + states.shape[-2]
        buffer = self._buffers.get(name)
        # Removing rows or cropping the cache replaces `held` by another tensor; then a new buffer is needed.
        if (
            buffer is None
            or buffer.data_ptr() != held.data_ptr()
            or len(buffer) != len(held)
            or buffer.shape[-2] < total
        ):
            buffer = held.new_empty((*held.shape[:-2], total + _ROOM, held.shape[-1]))
            buffer[..., :size, :] = held
            self._buffers[name] = buffer
        buffer[..., size:total, :] = states
        return buffer[..., :total, :]


def grow_in_place(cache: Any) -> Any:
    """Replace the plain layers of `cache`, in place; other layers (sliding window, state space) stay as they are."""
    layers = getattr(cache, "layers", None)
    if layers is not None:
        cache.layers = [GrowingLayer(layer) if type(layer) is DynamicLayer else layer for layer in layers]
    return cache
