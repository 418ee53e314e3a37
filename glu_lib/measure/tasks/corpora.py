"""Texts that papers on compression report perplexity on, as one text each; called by lm-eval (`custom_dataset`)."""

from __future__ import annotations

from typing import Any

from datasets import Dataset, DatasetDict, load_dataset


def load(
    *,
    path: str,
    split: str,
    column: str,
    joined_by: str,
    documents: int | None = None,
    most_windows: int | None = None,
    name: str | None = None,
    revision: str | None = None,
    data_files: dict[str, str] | None = None,
    **_metadata: Any,
) -> DatasetDict:
    """The rows of a data set, joined to one text, as the only document of the split `test`.

    Args:
        path: the data set's id on the hub.
        split: the split that is read.
        column: the column that holds the text.
        joined_by: what stands between two rows.
        documents: rows that are read, from the first; None for all.
        most_windows: windows that are scored, from the first; None for all.
        name: configuration of the data set.
        revision: branch or commit of the data set.
        data_files: files that are read, by split; None for all.
    """
    rows = load_dataset(path, name, split=split, revision=revision, data_files=data_files)[column][:documents]
    return DatasetDict({"test": Dataset.from_list([{"text": joined_by.join(rows), "most_windows": most_windows}])})
