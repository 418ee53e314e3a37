import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from glu_lib.errors import AccessError, TemplateError
from glu_lib.models.hub_access import explain_access, transport_error, with_patience
from glu_lib.models.identity import resolve_identity
from glu_lib.models.model_files import applied_template
from glu_lib.study import STUDY, ModelVariant, VariantKind

LLAMA = STUDY.models["llama1b"]


def folder_model(folder: Path, kind: VariantKind = VariantKind.BASE) -> ModelVariant:
    return ModelVariant("mine", str(folder), kind, (0,))


def test_a_changed_weight_file_is_another_model(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    first = resolve_identity(folder_model(tmp_path)).version
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert resolve_identity(folder_model(tmp_path)).version != first


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(AccessError, match="has no config.json; name a saved transformers model"):
        resolve_identity(folder_model(tmp_path))


def test_an_instruct_model_is_known_by_its_chat_template_too(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    variant = folder_model(tmp_path, VariantKind.INSTRUCT)
    plain, chat = STUDY.tasks["ifeval"], STUDY.tasks["ifeval_chat"]
    with pytest.raises(
        TemplateError, match=r"has no chat template, which ifeval_chat needs; leave chat tasks out \(-k"
    ):
        applied_template(chat, variant, resolve_identity(variant))
    assert applied_template(plain, variant, resolve_identity(variant)) is None
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    first = resolve_identity(folder_model(tmp_path, VariantKind.INSTRUCT)).chat_template
    (tmp_path / "chat_template.jinja").write_text("{{ other }}")
    second = resolve_identity(variant)
    assert second.chat_template not in (None, first)
    for model in (variant, folder_model(tmp_path)):  # the prompt format is the task's, whatever the model's kind
        assert applied_template(plain, model, second) is None
        assert applied_template(chat, model, second) == second.chat_template


def answered(error: type[HfHubHTTPError]) -> HfHubHTTPError:
    response = SimpleNamespace(headers={}, status_code=403, request=None, url="")
    return error("refused\nby the server", response=response)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            answered(GatedRepoError),
            "is gated: accept its licence at https?://.*/meta-llama/Llama-3.2-1B, then set HF_TOKEN",
        ),
        (answered(RevisionNotFoundError), "has no revision 'main'; choose an existing branch, tag or commit"),
        (answered(RepositoryNotFoundError), "was not found on the hub; check the id, and HF_TOKEN"),
        (answered(HfHubHTTPError), "cannot be read: HfHubHTTPError: refused.*try again later"),
        (
            transport_error()("no route"),
            "cannot be reached: no connection to .* no copy in the local cache; connect, or",
        ),
        (OSError("no route"), "cannot be reached: no connection"),
    ],
)
def test_each_cause_has_one_line_with_its_remedy(error, message):
    with pytest.raises(AccessError, match=message):
        raise AccessError(explain_access(LLAMA, error))
    assert "\n" not in explain_access(LLAMA, error)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with one model at one commit, whose file requests can be made to fail."""
    state = SimpleNamespace(error=None, asked=0)

    class Api:
        def model_info(self, source, *, revision, timeout):
            state.asked += 1
            if state.error:
                raise state.error
            return SimpleNamespace(sha="c0ffee")

    monkeypatch.setattr("huggingface_hub.HfApi", Api)

    def download(_source, name, *, revision):
        if name != "config.json":
            raise EntryNotFoundError(name)
        return str(tmp_path / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    return state


def test_a_hub_model_is_known_by_its_commit(hub):
    found = resolve_identity(LLAMA)
    assert (found.version, found.commit, found.folder) == ("commit:c0ffee", "c0ffee", None)


def test_without_network_the_cached_snapshot_counts(hub, monkeypatch, tmp_path):
    hub.error = OSError("no route")
    with pytest.raises(AccessError, match="cannot be reached"):
        resolve_identity(LLAMA)
    cached = tmp_path / "5eed"
    cached.mkdir()
    (cached / "config.json").write_text("{}")
    (cached / "chat_template.jinja").write_text("{{ messages }}")

    def from_cache(_source, name, *, revision):
        assert revision in ("main", "5eed")
        return str(cached / name) if (cached / name).exists() else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", from_cache)
    found = resolve_identity(LLAMA)
    assert (found.commit, found.is_offline) == ("5eed", True)
    assert found.chat_template is not None


@pytest.mark.parametrize("source", ["/no/such/folder", "~/none", "https://huggingface.co/a/b", "a/b/c", "a b"])
def test_a_source_that_is_neither_folder_nor_id_is_one_line(source):
    with pytest.raises(
        AccessError, match=r"model mine: source '.*' is neither an existing folder nor a hub id; correct"
    ):
        resolve_identity(ModelVariant("mine", source, VariantKind.BASE, (0,)))


def busy(status: int) -> HfHubHTTPError:
    response = SimpleNamespace(headers={}, status_code=status, request=None, url="")
    return HfHubHTTPError("try later", response=response)


@pytest.mark.parametrize(("status", "calls"), [(503, 3), (429, 3), (403, 1)])
def test_a_busy_server_is_asked_again_a_refusal_counts(monkeypatch, status, calls):
    waits, asked = [], []
    monkeypatch.setattr("glu_lib.models.hub_access.time.sleep", waits.append)

    def action():
        asked.append(1)
        if len(asked) < 3:
            try:
                raise busy(status)
            except HfHubHTTPError as error:
                raise OSError("as transformers says it") from error
        return "answer"

    if calls == 3:
        assert with_patience(action) == "answer"
    else:
        with pytest.raises(OSError, match="as transformers"):
            with_patience(action)
    assert (len(asked), waits) == (calls, [1, 2][: calls - 1])


def test_a_server_that_stays_busy_is_given_up_in_the_end(monkeypatch):
    waits = []
    monkeypatch.setattr("glu_lib.models.hub_access.time.sleep", waits.append)

    def action():
        raise busy(503)

    with pytest.raises(HfHubHTTPError):
        with_patience(action)
    assert waits == [1, 2, 4, 8]


def test_a_refusal_is_not_hidden_by_the_cache(hub, monkeypatch):
    hub.error = answered(GatedRepoError)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_args, **_options: "/cache/5eed/config.json")
    with pytest.raises(AccessError, match="is gated"):
        resolve_identity(LLAMA)
