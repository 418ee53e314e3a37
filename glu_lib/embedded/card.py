"""Measure the embedded model and write its model card: `python -m glu_lib.embedded.card`."""

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glu_lib.embedded.card_text import CARD
from glu_lib.embedded.paths import MODEL_DIR


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, write `README.md` beside the weights."""
    parser = argparse.ArgumentParser(
        prog="python -m glu_lib.embedded.card",
        description="Score the embedded model at every pruning level and write its model card: some two minutes.",
    )
    parser.add_argument("--model", type=Path, default=MODEL_DIR, help="folder of the model (default: ours)")
    parser.add_argument("--limit", type=int, help="at most this many items per task: a quick look")
    options = parser.parse_args(arguments)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    (options.model / "README.md").write_text(_card(options.model, options.limit), encoding="utf-8")
    print(f"model card in {options.model / 'README.md'}")


def _card(model_dir: Path, limit: int | None) -> str:
    import torch

    from glu_lib.embedded.measure import COLUMNS, measure

    torch.set_num_threads(1)  # the network is too small for a second thread to help
    training: dict[str, Any] = json.loads((model_dir / "training.json").read_text(encoding="utf-8"))
    start_s = time.monotonic()
    lines = [_line("level", "width", COLUMNS), _line("---", "---", ["---"] * len(COLUMNS))]
    for found in measure(model_dir, limit=limit):
        cells = [f"{found.scores[column]:.2f}" for column in COLUMNS]
        lines.append(_line(found.pruning.key, str(found.width), cells))
        print(lines[-1], flush=True)
    return CARD.format(**training, table="\n".join(lines), scoring_min=(time.monotonic() - start_s) / 60)


def _line(level: str, width: str, cells: Sequence[str]) -> str:
    return f"| {' | '.join([level, width, *cells])} |"


if __name__ == "__main__":
    main()
