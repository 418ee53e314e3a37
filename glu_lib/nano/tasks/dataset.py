"""Read a task's items from the JSONL files in this folder; called by lm-eval (`custom_dataset`)."""

import json
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

_FOLDER = Path(__file__).resolve().parent


def load(family: str, **_metadata: Any) -> DatasetDict:
    """Return the held-out items of a family as the split `test`, without cache or network.

    lm-eval passes `dataset_kwargs` and the task's metadata; the metadata is not used.
    """
    lines = (_FOLDER / f"{family}.jsonl").read_text(encoding="utf-8").splitlines()
    return DatasetDict({"test": Dataset.from_list([json.loads(line) for line in lines])})
