from pathlib import Path

import pytest

from glu_lib.errors import SettingsError
from glu_lib.study.settings import DType, Settings, check_divisor, parse_dtype


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limit": 0}, "--limit 0: must be 1 or more; leave it out to score every sample"),
        ({"limit": -3}, "--limit -3: must be 1 or more; leave it out to score every sample"),
        ({"batch_size": 0}, "--batch-size 0: must be 1 or more; the default is 32"),
        ({"limit": 2.5}, "--limit 2.5: must be a whole number; leave it out to score every sample"),
        ({"limit": True}, "--limit True: must be a whole number; leave it out to score every sample"),
        ({"dtype": "x"}, "--dtype 'x' is unknown; choose one of float32, bfloat16, float16"),
        ({"results_dir": None}, "results_dir None: must be the path of a folder"),
        ({"threads": 0}, "--threads 0: must be 1 or more; leave it out to have it measured"),
        ({"min_window_s": 0}, "--min-window 0: must be more than 0 seconds"),
    ],
)
def test_impossible_numbers_get_one_line(values, message):
    with pytest.raises(SettingsError) as caught:
        Settings(**values)
    assert str(caught.value) == message


def test_a_results_folder_that_is_a_file_is_refused(tmp_path: Path):
    file = tmp_path / "taken"
    file.write_text("x")
    with pytest.raises(SettingsError, match="is a file; records need a folder: choose another path"):
        Settings(results_dir=file)


def test_number_formats_and_divisors_are_closed_choices():
    assert parse_dtype("bfloat16") is DType.BFLOAT16
    with pytest.raises(SettingsError) as caught:
        parse_dtype("int4")
    assert str(caught.value) == "--dtype 'int4' is unknown; choose one of float32, bfloat16, float16"
    assert check_divisor(128) == 128
    with pytest.raises(SettingsError) as caught:
        check_divisor(7)
    assert str(caught.value) == "--divisor 7: widths are rounded to 32, 64, 128, 256; choose one"
