"""Study files for the tests of this folder."""

import pytest

from glu_lib.study import STUDY, load_study


@pytest.fixture
def load(tmp_path):
    """Read the text of a study file over the built-in study."""

    def load_text(text):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return load_study(path, STUDY)

    return load_text
