"""A key/value cache with seats: each row of a batch has a place of its own, which the next prompt takes over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from glu_lib.measure.scoring.shared_attention import Beginning


class _Aim:
    """Where the next forward pass writes: rows `start` to `stop`, from column `offset` or at one column per row."""

    def __init__(self, seats: int, capacity: int) -> None:
        self.seats, self.capacity = seats, capacity
        self.start, self.stop, self.offset = 0, 0, 0
        self.places: tuple[torch.Tensor, torch.Tensor] | None = None  # rows and columns of a step's tokens


class SeatLayer(CacheLayerMixin):
    """Keys and values (seats, key/value heads, capacity, size) of one layer, allocated at the first update."""

    is_sliding = False

    def __init__(self, aim: _Aim) -> None:
        """`aim` is common to all layers of a cache."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._aim = aim

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate the buffers. Zeros, because masked places are read too, and must not hold NaN."""
        shape = self._aim.seats, key_states.shape[1], self._aim.capacity
        self.keys = key_states.new_zeros((*shape, key_states.shape[-1]))
        self.values = value_states.new_zeros((*shape, value_states.shape[-1]))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_options: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the states of new tokens (rows, heads, new tokens, size); returns the rows' states as views."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        keys, values = self.buffers()
        aim = self._aim
        end = aim.offset + key_states.shape[-2]
        for buffer, states in ((keys, key_states), (values, value_states)):
            if aim.places is None:
                buffer[aim.start : aim.stop, :, aim.offset : end] = states
            else:
                rows, columns = aim.places
                buffer[rows, :, columns] = states[:, :, 0]
        return keys[aim.start : aim.stop, :, :end], values[aim.start : aim.stop, :, :end]

    def buffers(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The whole buffers of keys and values."""
        assert self.keys is not None
        assert self.values is not None
        return self.keys, self.values

    def resize(self, seats: int, capacity: int) -> None:
        """Copy the states into buffers of another size."""
        keys, values = self.buffers()
        self.keys, self.values = _resized(keys, seats, capacity), _resized(values, seats, capacity)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of the keys that a forward pass of `query_length` tokens sees, and the place of the first."""
        return self._aim.offset + query_length, 0

    def get_seq_length(self) -> int:
        """Number of tokens before those of the next forward pass."""
        return self._aim.offset

    def get_max_length(self) -> int:
        """Tokens of a seat."""
        return self._aim.capacity


class SeatCache(Cache):
    """A cache of `seats` rows with room for `capacity` tokens each."""

    def __init__(self, layers: int, seats: int, capacity: int) -> None:
        """Nothing is allocated before the first forward pass."""
        self._aim = _Aim(seats, capacity)
        super().__init__(layers=[SeatLayer(self._aim) for _ in range(layers)])

    @property
    def seats(self) -> int:
        """Number of rows that fit."""
        return self._aim.seats

    @property
    def capacity(self) -> int:
        """Number of tokens per row that fit."""
        return self._aim.capacity

    @property
    def size_bytes(self) -> int:
        """Bytes of all buffers."""
        return sum(buffer.nbytes for layer in self._seat_layers() for buffer in layer.buffers())

    def aim(self, start: int, stop: int, offset: int) -> None:
        """The next forward pass writes to rows `start` to `stop`, from column `offset`."""
        self._aim.start, self._aim.stop, self._aim.offset, self._aim.places = start, stop, offset, None

    def aim_at(self, columns: torch.Tensor, longest: int, counts: Sequence[int] | None = None) -> None:
        """The next forward pass writes single tokens at their rows and columns.

        Args:
            columns: of each token, those of one row after another.
            longest: the last column + 1.
            counts: tokens of each row; None for one token in each.
        """
        seats = len(columns) if counts is None else len(counts)
        rows = torch.arange(seats)
        if counts is not None:
            rows = rows.repeat_interleave(torch.tensor(counts))
        self.aim(0, seats, longest - 1)
        self._aim.places = rows.to(columns.device), columns

    def forget_behind(self, lengths: Sequence[int]) -> None:
        """Clear what stands behind the first `lengths` tokens of the first rows."""
        for layer in self._seat_layers():
            for buffer in layer.buffers():
                for row, length in enumerate(lengths):
                    buffer[row, :, length:] = 0

    def resize(self, seats: int, capacity: int) -> None:
        """Change the number and size of the seats, layer by layer; rows and tokens that no longer fit are lost."""
        self._aim.seats, self._aim.capacity = seats, capacity
        for layer in self._seat_layers():
            layer.resize(seats, capacity)

    def move(self, source: int, target: int) -> None:
        """Copy a row to another seat."""
        for layer in self._seat_layers():
            for buffer in layer.buffers():
                buffer[target] = buffer[source]

    def beginning(self, tokens: int) -> Beginning:
        """The first `tokens` tokens of row 0, as a beginning for other rows.

        Raises:
            ValueError: if a layer of the model has no keys and values of its own.
        """
        pairs = [layer.buffers() for layer in self._seat_layers()]
        if len(pairs) < len(self.layers):
            raise ValueError("a layer without keys and values cannot have a shared beginning")
        return Beginning(
            [keys[:1, :, :tokens] for keys, _ in pairs], [values[:1, :, :tokens] for _, values in pairs], tokens
        )

    def _seat_layers(self) -> list[SeatLayer]:
        """The layers with tokens in them; a model may leave layers without a cache of their own."""
        return [layer for layer in self.layers if isinstance(layer, SeatLayer) and layer.is_initialized]


def _resized(buffer: torch.Tensor, seats: int, capacity: int) -> torch.Tensor:
    larger = buffer.new_zeros((seats, buffer.shape[1], capacity, buffer.shape[3]))
    rows, tokens = min(seats, len(buffer)), min(capacity, buffer.shape[2])
    larger[:rows, :, :tokens] = buffer[:rows, :, :tokens]
    return larger
