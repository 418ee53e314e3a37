from glu_lib.models.identity import folder_digest, resolve_identity
from glu_lib.study import STUDY


def test_the_embedded_model_is_known_by_its_content():
    found = resolve_identity(STUDY.models["nano"])
    assert found.version == f"sha256:{folder_digest(found.folder)}"
    assert (found.source, found.commit, found.chat_template) == ("embedded", None, None)
