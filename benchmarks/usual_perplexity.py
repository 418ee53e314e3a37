"""Token perplexity in windows by the usual recipe, beside the suite's records: a plain loop over 2048 tokens each.

    python benchmarks/usual_perplexity.py --study study.toml --model smolq4 --levels 0,40 --windows 20 \
        --results-dir results --output usual_perplexity.json

The recipe of GPTQ, wanda and SliceGPT: the rows of WikiText-2's test split joined by a blank line, tokenized once, cut
into windows that do not overlap; exp of the mean loss over the windows, whose first token has none. Each level is
pruned on the fly (PPM, all layers) and computed by transformers alone, in float32 on CPU. One line per level. Finished
levels of `--output` are not computed again.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset

from glu_lib.run.experiment import Experiment
from glu_lib.study import STUDY
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import DType, Settings
from glu_lib.study.study_file import load_study

_TASK, _WINDOW = "wikitext2_2048", 2048


def main() -> None:
    """Compute each level's perplexity, and set it beside the record's."""
    options = _options()
    study = load_study(options.study, STUDY).study if options.study else STUDY
    settings = Settings(options.results_dir, device="cpu", dtype=DType.FLOAT32, threads=options.threads)
    experiment = Experiment(settings, study=study)
    output = options.output
    levels: list[dict[str, Any]] = json.loads(output.read_text())["levels"] if output and output.exists() else []
    text = "\n\n".join(load_dataset("Salesforce/wikitext", "wikitext-2-raw-v1", split="test")["text"])
    for percent in (int(level) for level in options.levels.split(",")):
        if percent in (line["percent"] for line in levels):
            continue
        with experiment.levels.prepared(study.models[options.model], Pruning(percent)) as prepared:
            loaded = prepared.loaded
            tokens = loaded.tokenizer(text, return_tensors="pt").input_ids[0]
            start_s = time.perf_counter()
            perplexity = _perplexity(loaded.model, tokens[: options.windows * _WINDOW])
        line = {
            "percent": percent,
            "usual": perplexity,
            "record": _recorded(options.results_dir, options.model, percent, options.windows),
            "usual_s": time.perf_counter() - start_s,
        }
        levels.append(line)
        print(json.dumps(line), flush=True)
        if output:
            found = {"model": options.model, "windows": options.windows, "window_tokens": _WINDOW, "levels": levels}
            output.write_text(json.dumps(found, indent=1) + "\n")


def _perplexity(model: Any, tokens: torch.Tensor) -> float:
    """The recipe, over `tokens` (windows · 2048,)."""
    losses = []
    for window in tokens.split(_WINDOW):
        with torch.inference_mode():
            logits = model(window[None], use_cache=False).logits[0].float()
        losses.append(torch.nn.functional.cross_entropy(logits[:-1], window[1:]).item())
    return math.exp(sum(losses) / len(losses))


def _recorded(results_dir: Path, model: str, percent: int, windows: int) -> float | None:
    """The suite's value of the same windows; None without a record of them."""
    for path in results_dir.glob(f"individual_files/{model}/p{percent}/{model}-p{percent}-{_TASK}*.json"):
        record = json.loads(path.read_text())
        if windows in (record["done_key"]["limit"], record["done_key"].get("task limit")):
            return float(record["score"]["headline"]["value"])
    return None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, help="study file that declares the model")
    parser.add_argument("--model", required=True, help="key of the model")
    parser.add_argument("--levels", default="0", help="pruning percentages (default 0)")
    parser.add_argument("--windows", type=int, default=20, help="first windows (default 20)")
    parser.add_argument("--results-dir", type=Path, required=True, help="folder with the records")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
