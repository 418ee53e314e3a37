"""What a study file need not say of a model: its levels, and its kind, read from its tokenizer's files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glu_lib.study.builtin_models import LEVELS
from glu_lib.study.variants import VariantKind

# Where transformers saves a chat template: a file of its own, or a field of the tokenizer's settings.
_TEMPLATE = "chat_template.jinja"
_TOKENIZER = "tokenizer_config.json"


def with_defaults(
    key: str, table: Mapping[str, Any], kinds: Mapping[str, VariantKind]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The table of a new model with `levels` and `kind`, and a line that says where its kind comes from.

    The levels are those of the built-in models, or p0 alone for a checkpoint with a baseline, whose kind it has. A
    table without a source, or with a kind, gets no line.

    Args:
        key: of the model.
        table: its table in the study file.
        kinds: of the models that are known already, by key.
    """
    found = {"levels": [0] if "baseline" in table else list(LEVELS), **table}
    if "kind" in table or not isinstance(table.get("source"), str):
        return found, ()
    baseline = table.get("baseline")
    if isinstance(baseline, str) and baseline in kinds:
        return found | {"kind": str(kinds[baseline])}, ()
    kind, reason = _kind_of(table["source"], str(table.get("revision", "main")), is_gguf="gguf" in table)
    line = f'model {key}: taken for {kind}, because {reason}; kind = "…" in the study file fixes it'
    return found | {"kind": str(kind)}, (line,)


def _kind_of(source: str, revision: str, *, is_gguf: bool) -> tuple[VariantKind, str]:
    """The kind of a model and the reason: instruct if its tokenizer has a chat template, else base.

    A folder or the hub's cache on this machine is read; the network is not asked.
    """
    if is_gguf:
        return VariantKind.BASE, "the header of a GGUF file is not read before the run"
    folder = Path(source).expanduser()
    template, tokenizer = (
        folder / name if folder.is_dir() else _cached(source, revision, name) for name in (_TEMPLATE, _TOKENIZER)
    )
    if (template and template.is_file()) or _has_field(tokenizer):
        return VariantKind.INSTRUCT, "its tokenizer has a chat template"
    if tokenizer and tokenizer.is_file():
        return VariantKind.BASE, "its tokenizer has no chat template"
    return VariantKind.BASE, f"{'its folder holds' if folder.is_dir() else 'the cache has'} no {_TOKENIZER} of it"


def _cached(source: str, revision: str, name: str) -> Path | None:
    """The path of a file of a hub model in the cache; None if it is not there, or `source` is no hub id."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(source, name, revision=revision)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def _has_field(path: Path | None) -> bool:
    """Whether the tokenizer's settings hold a chat template; a file that is not JSON is reported when it is loaded."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and bool(found.get("chat_template"))
