"""Identify a model variant's exact weights without loading them: by hub commit or content hash."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glu_lib.errors import AccessError, TemplateError
from glu_lib.models.gguf_file import GgufHeader, file_digest, read_header
from glu_lib.models.hub_access import explain_access, first_line, is_offline_error, transport_error, with_patience
from glu_lib.nano import MODEL_DIR
from glu_lib.study import ModelVariant, Task

_HASH_BLOCK_BYTES = 1 << 20
_MODEL_FILES = frozenset({".json", ".safetensors", ".model", ".jinja", ".txt", ".tiktoken"})
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_RANDOM = "random:"


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Location and version of a variant's weights.

    `version` is `commit:<sha>` for a hub model and `sha256:<digest>` for a folder or a GGUF file; `folder` is None for
    a hub model and for a GGUF file, whose path is `gguf` and whose header is `header`.
    `chat_template` is the digest of the tokenizer's chat template, None if it has none. `is_offline` says that the hub
    did not answer and only the local cache is available. `files` holds names, sizes and modification times of the
    local files when the run began.
    """

    source: str
    version: str
    folder: Path | None
    chat_template: str | None = None
    is_offline: bool = False
    files: tuple[tuple[str, int, int], ...] = ()
    gguf: Path | None = None
    header: GgufHeader | None = None

    @property
    def stored_as(self) -> str | None:
        """How a GGUF file held the weights, as in `dequantized Q4_1`; None for safetensors."""
        return self.header.stored_as if self.header else None

    @property
    def commit(self) -> str | None:
        """The hub commit to load; None for a folder, a GGUF file or random weights."""
        return self.version.removeprefix("commit:") if self.version.startswith("commit:") else None

    @property
    def is_random(self) -> bool:
        """Whether the weights are random, with the declared shape."""
        return self.version.startswith(_RANDOM)


def resolve_identity(variant: ModelVariant) -> ModelIdentity:
    """Find the weights of `variant`: the embedded folder, a local folder, a GGUF file, or a hub commit.

    Without network, the newest snapshot in the local cache is used for a hub model. A GGUF file is downloaded here,
    because only the whole file has the digest that identifies it.

    Raises:
        AccessError: one line with cause and remedy.
    """
    if variant.is_embedded:
        return _folder_identity(variant, MODEL_DIR, "embedded")
    if variant.gguf is not None:
        return _gguf_identity(variant, variant.gguf)
    if (folder := Path(variant.source).expanduser()).is_dir():
        return _folder_identity(variant, folder, str(folder))
    _check_hub_id(variant)
    return _hub_identity(variant)


def random_identity(variant: ModelVariant) -> ModelIdentity:
    """The identity of random weights with the shape of `variant`; needs no access to the hub.

    Raises:
        AccessError: if the study declares no shape for `variant`.
    """
    if variant.architecture is None:
        raise AccessError(
            f"model {variant.key}: --weights random needs a shape, and the study declares none for this model; "
            "declare its architecture in the study file, or use its real weights"
        )
    digest = hashlib.sha256(repr(variant.architecture).encode()).hexdigest()
    return ModelIdentity(variant.source, f"{_RANDOM}{digest[:16]}", None)


def folder_digest(folder: Path) -> str:
    """SHA-256 of the names and contents of the files that define a model (weights, config, tokenizer)."""
    digest = hashlib.sha256()
    for path in _model_files(folder):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(_HASH_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def check_unchanged(variant: ModelVariant, identity: ModelIdentity) -> None:
    """Check that local files have not changed since the run began, because records name the weights of that time.

    Raises:
        AccessError: if a file was added, removed or written since.
    """
    place = identity.gguf or identity.folder
    if place is not None and identity.files != _stamps(place):
        raise AccessError(
            f"model {variant.key}: files in {place} changed during the run; "
            "start the run again, so that its records name the new files"
        )


def _check_hub_id(variant: ModelVariant) -> None:
    if not _HUB_ID.fullmatch(variant.source):
        raise AccessError(
            f"model {variant.key}: source {variant.source!r} is neither an existing folder nor a hub id; "
            'correct the path, or name a model as "org/name"'
        )


def _model_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix in _MODEL_FILES]


def _stamps(place: Path) -> tuple[tuple[str, int, int], ...]:
    try:
        found = [(path.name, path.stat()) for path in (_model_files(place) if place.is_dir() else [place])]
    except OSError:
        return ()
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)


def _folder_identity(variant: ModelVariant, folder: Path, source: str) -> ModelIdentity:
    if not (folder / "config.json").is_file():
        raise AccessError(f"model {variant.key}: folder {folder} has no config.json; name a saved transformers model")

    files = _stamps(folder)  # before the digest, so that check_unchanged sees files written meanwhile
    found = ModelIdentity(source, f"sha256:{folder_digest(folder)}", folder, files=files)
    return replace(found, chat_template=_chat_template(variant, found))


def _gguf_identity(variant: ModelVariant, name: str) -> ModelIdentity:
    folder = Path(variant.source).expanduser()
    path = folder / name if folder.is_dir() else _downloaded(variant, name)
    if not path.is_file():
        raise AccessError(f"model {variant.key}: folder {folder} has no file {name}; correct gguf, or the source")
    files = _stamps(path)
    header = read_header(variant, path)
    template = header.chat_template
    return ModelIdentity(
        f"{variant.source}/{name}",
        f"sha256:{file_digest(path)}",
        None,
        chat_template=hashlib.sha256(template.encode()).hexdigest() if template else None,
        files=files,
        gguf=path,
        header=header,
    )


def _downloaded(variant: ModelVariant, name: str) -> Path:
    """A file of a hub repository, from the local cache if no server answers."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    _check_hub_id(variant)
    try:
        return Path(with_patience(lambda: hf_hub_download(variant.source, name, revision=variant.revision)))
    except (EntryNotFoundError, transport_error(), OSError, ValueError) as error:
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            raise AccessError(
                f"model {variant.key}: {variant.source} has no file {name}; correct gguf in the study file"
            ) from error
        raise AccessError(explain_access(variant, error)) from error


def _hub_identity(variant: ModelVariant) -> ModelIdentity:
    from huggingface_hub import HfApi, hf_hub_download

    is_offline = False
    try:
        commit = with_patience(lambda: HfApi().model_info(variant.source, revision=variant.revision, timeout=30).sha)
        if commit is None:
            raise AccessError(f"model {variant.key}: the hub gave no commit for {variant.source}; try again later")
        # model_info works for gated repositories too; only downloading a file shows that access was granted. A download
        # by revision also stores the revision's commit in the cache, which offline runs use.
        with_patience(lambda: hf_hub_download(variant.source, "config.json", revision=variant.revision))
    except (transport_error(), OSError, ValueError) as error:
        cached = _cached_commit(variant)
        if cached is None or not is_offline_error(error):
            raise AccessError(explain_access(variant, error)) from error
        commit, is_offline = cached, True

    found = ModelIdentity(variant.source, f"commit:{commit}", None, is_offline=is_offline)
    return replace(found, chat_template=_chat_template(variant, found))


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


def _cached_commit(variant: ModelVariant) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(variant.source, "config.json", revision=variant.revision)
    return Path(path).parent.name if isinstance(path, str) else None


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


def _chat_template(variant: ModelVariant, identity: ModelIdentity) -> str | None:
    """Digest of a tokenizer's chat template, from chat_template.jinja or tokenizer_config.json; None without one."""
    if path := model_file(variant, identity, "chat_template.jinja"):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if (path := model_file(variant, identity, "tokenizer_config.json")) and (
        template := json_file(variant, path).get("chat_template")
    ):
        return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()
    return None
