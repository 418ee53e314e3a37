"""Read a task's items from the JSONL beside this file; lm-eval calls it (`custom_dataset`)."""

import json
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

_FOLDER = Path(__file__).resolve().parent


def load(family: str, **_metadata: Any) -> DatasetDict:
    """Return the held-out items of a family as the split `test`, in memory: no cache, no network.

    lm-eval passes the task's metadata along with `dataset_kwargs`; it is not needed here.
    """
    lines = (_FOLDER / f"{family}.jsonl").read_text(encoding="utf-8").splitlines()
    return DatasetDict({"test": Dataset.from_list([json.loads(line) for line in lines])})
