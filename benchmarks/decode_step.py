"""Times decoding steps of a model with the model's own attention and with the suite's, beside a floor.

    python benchmarks/decode_step.py --model FOLDER --output results/measured/scoring/decode_step.json

All rows have the same number of cached tokens, of which some are shared by all rows. The floor of a step is the larger
of two times: the products of the weights at the rate of a large matrix product, and the bytes of weights and cache at
the rate (read and written) of a large copy; both are measured in the same run. A product of few rows is slower than a
large one, so the model's products alone are timed as well. Without `--model`, a model of SmolLM2-135M's shape with
random weights. Float32 on CPU.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measured_rates import copy_bytes_per_s, fastest_s, product_flops
from torch.nn.functional import linear
from transformers import AutoModelForCausalLM, DynamicCache, LlamaConfig, LlamaForCausalLM

from glu_lib.measure.scoring.cache import grow_in_place
from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.pieces import new_cache
from glu_lib.measure.scoring.seats import spans
from glu_lib.measure.scoring.shared_attention import Beginning, View
from glu_lib.measure.scoring.trying_out import try_out
from glu_lib.study.settings import Attention

SHAPE = LlamaConfig(
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    vocab_size=49152,
    max_position_embeddings=8192,
    tie_word_embeddings=True,
)
States = tuple[torch.Tensor, torch.Tensor]  # keys and values (rows, heads, tokens, size) of a layer


def main() -> None:
    """Time both ways in turn for each number of cached and shared tokens, and print a table."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = load(options.model)
    forward = SharedForward(model)
    try_out(forward, model.config.vocab_size, model.config.max_position_embeddings)
    if forward.attention is Attention.PLAIN:
        raise SystemExit(f"the suite's attention does not fit {type(model).__name__}")
    with torch.inference_mode():
        flops, rate = product_flops(torch.float32), copy_bytes_per_s()
        lines = [
            line
            for case in options.cases.split(",")
            for line in measure(forward, options.rounds, *map(int, case.split(":")), flops=flops, rate=rate)
        ]
    for line in lines:
        print(
            f"{line['rows']:4} rows, {line['cached']:5} cached, {line['shared']:4} shared, {line['attention']:10} "
            f"{line['step_s']:7.3f} s per step, {line['times_floor']:5.2f} times its floor, products alone "
            f"{line['alone_s']:7.3f} s, {line['cache_bytes'] / 2**20:7.1f} MiB of cache"
        )
    if options.output:
        found = {
            "what": "seconds of one decoding step, the fastest of all rounds; float32 on CPU",
            "model": "random weights" if options.model is None else options.model.name,
            **{name: value for name, value in vars(options).items() if name not in ("output", "model")},
            "torch": torch.__version__,
            "product_flops": flops,
            "copy_bytes_per_s": rate,
            "steps": lines,
        }
        options.output.write_text(json.dumps(found, indent=1) + "\n")


def load(folder: Path | None) -> Any:
    """The model in `folder` in float32; without a folder, a model of SmolLM2-135M's shape with random weights."""
    if folder is None:
        return LlamaForCausalLM(SHAPE).eval()
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def measure(
    forward: SharedForward, rounds: int, rows: int, cached: int, shared: int, *, flops: float, rate: float
) -> list[dict[str, Any]]:
    """A step with `cached` tokens in each row, of which `shared` are the same: one line for each attention."""
    model = forward.model
    weights = [weight for weight in model.parameters() if weight.ndim == 2]
    inputs = {weight.shape[1]: torch.randn(rows, weight.shape[1]) for weight in weights}
    first, own = states(model, 1, shared), states(model, rows, cached - shared)
    works, sizes = {}, {}
    works[Attention.PLAIN], sizes[Attention.PLAIN] = _plain(model, first, own)
    works[Attention.SHARED], sizes[Attention.SHARED] = shared_step(forward, first, own)
    logits = {attention: work() for attention, work in works.items()}
    difference = float((logits[Attention.PLAIN] - logits[Attention.SHARED]).abs().max())
    times_s = fastest_s(
        {
            "products": lambda: [linear(inputs[weight.shape[1]], weight) for weight in weights],
            **{str(name): work for name, work in works.items()},
        },
        rounds,
    )
    lines = []
    for attention in Attention:
        products_s = 2 * rows * sum(weight.numel() for weight in weights) / flops
        bytes_s = (sum(weight.nbytes for weight in weights) + sizes[attention]) / rate
        step_s = times_s[str(attention)]
        lines.append(
            {
                "rows": rows,
                "cached": cached,
                "shared": shared,
                "attention": str(attention),
                "step_s": step_s,
                "products_s": products_s,
                "bytes_s": bytes_s,
                "alone_s": times_s["products"],
                "times_floor": step_s / max(products_s, bytes_s),
                "cache_bytes": sizes[attention],
                "largest_logit_difference": difference,
            }
        )
    return lines


def _plain(model: Any, first: list[States], own: list[States]) -> tuple[Callable[[], torch.Tensor], int]:
    """A step with the model's own attention, and the bytes of its cache; each step appends a token."""
    rows = len(own[0][0])
    cache: Any = DynamicCache()
    for layer, (starts, rests) in enumerate(zip(first, own, strict=True)):
        keys, values = (
            torch.cat([start.expand(rows, -1, -1, -1), rest], 2) for start, rest in zip(starts, rests, strict=True)
        )
        cache.update(keys, values, layer)
    grow_in_place(cache)
    size = sum(int(layer.keys.nbytes + layer.values.nbytes) for layer in cache.layers)

    def step() -> torch.Tensor:
        past = cache.get_seq_length()
        output = model(
            input_ids=torch.ones((rows, 1), dtype=torch.long),
            attention_mask=torch.ones((rows, past + 1), dtype=torch.long),
            position_ids=torch.full((rows, 1), past),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits.take_along_dim(logits.argmax(dim=-1, keepdim=True), dim=-1)

    return step, size


def shared_step(
    forward: SharedForward, first: list[States], own: list[States]
) -> tuple[Callable[[], torch.Tensor], int]:
    """A step with the suite's attention, and the bytes of its cache; each step appends a token."""
    rows, _, past, _ = own[0][0].shape
    cache = new_cache(forward.model, rows, past + 128)
    cache.aim(0, rows, 0)
    for layer, pair in enumerate(own):
        cache.update(*pair, layer)
    tokens = first[0][0].shape[2]
    beginning = Beginning([keys for keys, _ in first], [values for _, values in first], tokens) if tokens else None
    size = sum(buffer.nbytes for pair in (*first, *own) for buffer in pair)
    length = past

    def step() -> torch.Tensor:
        nonlocal length
        columns = torch.full((rows,), length)
        length += 1
        cache.aim_at(columns, length)
        with forward.own_attention():
            hidden = forward.states(
                torch.ones((rows, 1), dtype=torch.long),
                position_ids=(columns + tokens)[:, None],
                past_key_values=cache,
                use_cache=True,
                glu_view=View(beginning, spans([length] * rows, columns.device, torch.float32)),
            )
            logits = forward.output(hidden[:, 0])
        return logits.take_along_dim(logits.argmax(dim=-1, keepdim=True), dim=-1)

    return step, size


def states(model: Any, rows: int, tokens: int) -> list[States]:
    """Random keys and values for each layer."""
    config = model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    shape = (rows, config.num_key_value_heads, tokens, size)
    return [(torch.randn(shape), torch.randn(shape)) for _ in range(config.num_hidden_layers)]


def step_parser(description: str | None, cases: str) -> argparse.ArgumentParser:
    """The options that all measurements of a decoding step have; `cases` is the default of `--cases`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder of a model; default: random weights")
    parser.add_argument(
        "--cases",
        default=cases,
        help="rows:cached:shared, separated by commas: cached tokens of each row, and how many of them all rows share",
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    parser.add_argument("--output", type=Path, help="JSON file")
    return parser


def _options() -> argparse.Namespace:
    parser = step_parser(__doc__, "32:100:0,32:700:0,32:700:600,128:700:600")
    parser.add_argument("--rounds", type=int, default=10, help="rounds; the fastest counts")
    return parser.parse_args()


if __name__ == "__main__":
    main()
