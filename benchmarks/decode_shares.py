"""Says where a decoding step with the suite's attention spends its time, by torch's profiler.

    python benchmarks/decode_shares.py --model FOLDER --output results/measured/scoring/decode_shares.json

The times are those of single operators, without the operators that they call. The profiler itself costs time, which
makes the many small operators look larger than they are. Without `--model`, a model of SmolLM2-135M's shape with random
weights. Float32 on CPU.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Mapping

import torch
from decode_step import load, shared_step, states, step_parser
from torch.profiler import ProfilerActivity, profile

from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.trying_out import try_out
from glu_lib.study.settings import Attention

# Weights are matrices, and the states of attention are batches of them.
PARTS: Mapping[str, tuple[str, ...]] = {
    "products of weights": ("aten::mm", "aten::addmm"),
    "products of attention": ("aten::bmm", "aten::_scaled_dot_product_flash_attention_for_cpu"),
    "softmax": ("aten::exp_", "aten::amax", "aten::sub_", "aten::div_", "aten::exp", "aten::maximum"),
}
REST = "norms, rotary embedding, activation, cache, calls"


def main() -> None:
    """Profile steps of each case, and print the shares."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = load(options.model)
    forward = SharedForward(model)
    try_out(forward, model.config.vocab_size, model.config.max_position_embeddings)
    if forward.attention is Attention.PLAIN:
        raise SystemExit(f"the suite's attention does not fit {type(model).__name__}")
    lines = []
    for case in options.cases.split(","):
        rows, cached, shared = map(int, case.split(":"))
        work, _ = shared_step(forward, states(model, 1, shared), states(model, rows, cached - shared))
        found = shares(work, options.steps)
        lines.append({"rows": rows, "cached": cached, "shared": shared, "shares": found})
        print(f"{case:16} " + ", ".join(f"{name} {share:.0%}" for name, share in found.items()))
    if options.output:
        found_all = {
            "what": "share of each part of a decoding step in the time of all its operators; float32 on CPU",
            "model": "random weights" if options.model is None else options.model.name,
            **{name: value for name, value in vars(options).items() if name not in ("output", "model")},
            "torch": torch.__version__,
            "steps_profiled": lines,
        }
        options.output.write_text(json.dumps(found_all, indent=1) + "\n")


@torch.inference_mode()
def shares(work: Callable[[], object], steps: int) -> dict[str, float]:
    """The share of each of the `PARTS`, and of the rest, in the time of all operators; they add up to 1."""
    work()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _step in range(steps):
            work()
    names = {operator: part for part, operators in PARTS.items() for operator in operators}
    taken: defaultdict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        taken[names.get(event.key, REST)] += event.self_cpu_time_total
    total = sum(taken.values())
    return {part: taken[part] / total for part in (*PARTS, REST)}


def _options() -> argparse.Namespace:
    parser = step_parser(__doc__, "32:700:600,128:700:600")
    parser.add_argument("--steps", type=int, default=5, help="steps that are profiled")
    return parser.parse_args()


if __name__ == "__main__":
    main()
