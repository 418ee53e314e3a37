"""Small files of a model: configuration, tokenizer, chat template; found in its folder or fetched from the hub."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.errors import AccessError, TemplateError
from glu_lib.models.hub_access import explain_access, first_line, transport_error, with_patience
from glu_lib.study import ModelVariant, Task

if TYPE_CHECKING:
    from glu_lib.models.identity import ModelIdentity


def model_file(variant: ModelVariant, identity: ModelIdentity, name: str) -> Path | None:
    """The local path of a small file of a model, downloaded from the hub if necessary; None if it does not exist.

    Raises:
        AccessError: if the hub does not say whether the file exists.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if identity.gguf is not None:
        return None
    if identity.folder is not None:
        return path if (path := identity.folder / name).is_file() else None
    if identity.is_offline:
        cached = try_to_load_from_cache(identity.source, name, revision=identity.commit)
        return Path(cached) if isinstance(cached, str) else None
    try:
        return Path(with_patience(lambda: hf_hub_download(identity.source, name, revision=identity.commit)))
    except (EntryNotFoundError, transport_error(), OSError, ValueError) as error:
        # LocalEntryNotFoundError means that no server answered, so the file may exist.
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            return None
        raise AccessError(explain_access(variant, error)) from error


def json_file(variant: ModelVariant, path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model.

    Raises:
        AccessError: if the file cannot be read or holds no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        found = error
    if not isinstance(found, dict):
        what = f"cannot be read ({first_line(found)})" if isinstance(found, Exception) else "holds no JSON object"
        model = f"model {variant.key} ({variant.source})"
        raise AccessError(f"{model} cannot be loaded: its {path.name} {what}; correct it, or download it again")
    return found


def applied_template(task: Task, variant: ModelVariant, identity: ModelIdentity) -> str | None:
    """Digest of the chat template that `task` uses on `variant`; None if its prompts are plain text.

    Raises:
        TemplateError: if the task needs a chat template and the tokenizer has none.
    """
    if not task.is_chat:
        return None
    if identity.chat_template is None:
        raise TemplateError(
            f"model {variant.key} ({variant.source}) has no chat template, which {task.key} needs; leave chat tasks "
            'out (-k "not chat", or the model\'s suites in a study file), or add a template to its tokenizer'
        )
    return identity.chat_template


def template_digest(variant: ModelVariant, identity: ModelIdentity) -> str | None:
    """Digest of a tokenizer's chat template, from chat_template.jinja or tokenizer_config.json; None without one."""
    if path := model_file(variant, identity, "chat_template.jinja"):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if (path := model_file(variant, identity, "tokenizer_config.json")) and (
        template := json_file(variant, path).get("chat_template")
    ):
        return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()
    return None
