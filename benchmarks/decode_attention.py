"""Times one layer's attention in a decoding step: repeated keys and values, grouped queries, and the suite's own.

    python benchmarks/decode_attention.py --output results/measured/scoring/decode_attention.json

The defaults are a layer of SmolLM2-135M: 32 rows, 9 heads on 3 key/value heads of size 64, 700 cached tokens, float32,
one thread. The suite's own attention is timed without a shared beginning, and with 600 of the 700 tokens shared. Each
round works through several layers in turn, so that no layer's keys are left in the processor's cache.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measured_rates import copy_bytes_per_s, fastest_s
from torch.nn.functional import scaled_dot_product_attention

from glu_lib.measure.scoring.seats import spans
from glu_lib.measure.scoring.shared_attention import Beginning, View, attend

LAYERS = 4


def main() -> None:
    """Time all variants in turn, check that their outputs are equal, and print a table."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    with torch.inference_mode():
        found = measure(options)
    for name, line in found["variants"].items():
        print(f"{name:28} {line['ms']:8.2f} ms  {line['cache_bytes'] / 2**20:8.1f} MiB of keys and values per layer")
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds and cache bytes of each variant, with the largest difference from the first one's outputs."""
    rows, heads, few, size = options.rows, options.heads, options.kv_heads, options.head_size
    shared, cached = options.shared, options.cached
    layers = [_Layer(index) for index in range(LAYERS)]
    query = torch.randn(rows, heads, 1, size)
    start = [[torch.randn(1, few, shared, size) for _ in layers] for _ in range(2)]
    own = [[torch.randn(rows, few, cached - shared, size) for _ in layers] for _ in range(2)]
    whole = [
        [torch.cat([first.expand(rows, -1, -1, -1), rest], dim=2) for first, rest in zip(*pair, strict=True)]
        for pair in zip(start, own, strict=True)
    ]
    alone = View(None, spans([cached] * rows, query.device, query.dtype))
    behind = View(Beginning(start[0], start[1], shared), spans([cached - shared] * rows, query.device, query.dtype))

    def repeated(states: torch.Tensor) -> torch.Tensor:
        return states.repeat_interleave(heads // few, dim=1)

    variants: dict[str, Callable[[_Layer, int], torch.Tensor]] = {
        "repeated keys and values": lambda _layer, at: scaled_dot_product_attention(
            query, repeated(whole[0][at]), repeated(whole[1][at])
        ).transpose(1, 2),
        "enable_gqa": lambda _layer, at: scaled_dot_product_attention(
            query, whole[0][at], whole[1][at], enable_gqa=True
        ).transpose(1, 2),
        "glu_shared": lambda layer, at: attend(layer, query, whole[0][at], whole[1][at], None, glu_view=alone)[0],
        f"glu_shared, {shared} shared": lambda layer, at: attend(
            layer, query, own[0][at], own[1][at], None, glu_view=behind
        )[0],
    }
    expected = next(iter(variants.values()))(layers[0], 0)
    works = {
        name: (lambda work=work: [work(layer, at) for at, layer in enumerate(layers)])
        for name, work in variants.items()
    }
    times_s = fastest_s(works, options.rounds)
    whole_bytes, own_bytes = 2 * whole[0][0].nbytes, 2 * (own[0][0].nbytes + start[0][0].nbytes)
    return {
        "what": "attention of one decoding step in one layer; float32 on CPU",
        **{name: value for name, value in vars(options).items() if name != "output"},
        "torch": torch.__version__,
        "copy_bytes_per_s": copy_bytes_per_s(),
        "variants": {
            name: {
                "ms": times_s[name] * 1e3 / LAYERS,
                "cache_bytes": own_bytes if work is list(variants.values())[-1] else whole_bytes,
                "largest_difference": float((work(layers[0], 0) - expected).abs().max()),
            }
            for name, work in variants.items()
        },
    }


class _Layer(torch.nn.Module):
    """Stands in for an attention layer."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.layer_idx = index


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=32, help="rows of the batch")
    parser.add_argument("--heads", type=int, default=9, help="query heads")
    parser.add_argument("--kv-heads", type=int, default=3, help="key/value heads")
    parser.add_argument("--head-size", type=int, default=64, help="size of a head")
    parser.add_argument("--cached", type=int, default=700, help="cached tokens of each row")
    parser.add_argument("--shared", type=int, default=600, help="how many of them all rows share")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    parser.add_argument("--rounds", type=int, default=30, help="rounds; the fastest counts")
    parser.add_argument("--output", type=Path, help="JSON file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
