"""Where transformers finds a model: a folder, a commit of a hub repository, or a GGUF file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from glu_lib.models.gguf_file import alone
from glu_lib.models.identity import ModelIdentity


@contextmanager
def pretrained(identity: ModelIdentity) -> Iterator[tuple[str, dict[str, Any]]]:
    """The source and the further arguments of `from_pretrained` for a model, its configuration or its tokenizer."""
    if identity.gguf is not None:
        with alone(identity.gguf) as folder:
            yield str(folder), {"gguf_file": identity.gguf.name, "local_files_only": True}
        return
    source = str(identity.folder) if identity.folder else identity.source
    yield source, {"revision": identity.commit or "main", "local_files_only": identity.is_offline}
