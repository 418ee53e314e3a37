import pytest

from glu_lib.errors import SettingsError
from glu_lib.machine.environment import detect_environment
from glu_lib.machine.outside import check_arithmetic, ignored_settings, speed_settings
from glu_lib.study.settings import Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NVIDIA_TF32_OVERRIDE", "1"),
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1"),
        ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16"),
        ("DNNL_DEFAULT_FPMATH_MODE", "any"),
    ],
)
def test_variables_that_change_the_arithmetic_are_refused(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}={value} changes the arithmetic of every score and time; unset it"):
        detect_environment(Settings())


def test_their_harmless_values_are_let_pass():
    check_arithmetic({"NVIDIA_TF32_OVERRIDE": "0", "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT", "OTHER": "1"})


def test_threads_from_outside_count_beside_a_gpu_and_a_jobs_number_does_not():
    variables = {"OMP_NUM_THREADS": "7", "SLURM_JOB_ID": "4711", "KMP_BLOCKTIME": ""}
    assert speed_settings("cuda", variables) == {"OMP_NUM_THREADS": "7", "SLURM_JOB_ID": "set"}
    assert speed_settings("cpu", variables) == {"SLURM_JOB_ID": "set"}


def test_settings_of_codecarbon_are_named_without_their_values(tmp_path, monkeypatch):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    assert list(ignored_settings({})) == []
    (home / ".codecarbon.config").write_text("[codecarbon]\npue = 2\napi_key = secret\n")
    (work / ".codecarbon.config").write_text("[codecarbon\n")
    found = list(ignored_settings({"CODECARBON_PUE": "3", "codecarbon_wue": "1", "PATH": "/bin"}))
    assert found == [
        f"{home}/.codecarbon.config (pue, api_key)",
        f"{work}/.codecarbon.config (not readable)",
        "CODECARBON_PUE",
        "codecarbon_wue",
    ]
