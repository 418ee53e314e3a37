import pytest
from gpu_parts.plan import Part
from gpu_parts.setup import ROOT, parser, setup_of

from glu_lib.errors import SettingsError
from glu_lib.machine.gpus import Gpu


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr("glu_lib.machine.environment.find_gpu", lambda: Gpu("NVIDIA H200 (MIG 1g)", (9, 0)))
    monkeypatch.setattr("glu_lib.machine.environment._git_commit", lambda: "abc")  # would start git


def of(*arguments):
    return setup_of(parser(None).parse_args(arguments))


def test_records_of_a_gpu_go_where_they_are_committed(gpu):
    setup = of()
    assert setup.output == ROOT / "results/measured/nvidia_h200_mig_1g"
    assert (setup.device, str(setup.environment.dtype), setup.minutes) == ("cuda", "bfloat16", 9.0)
    assert setup.models == ("llama1b", "llama3b")
    assert setup.parts == tuple(Part)


@pytest.mark.parametrize("arguments", [("--tiny",), ("--device", "cpu")])
def test_trials_and_processors_stay_out_of_the_committed_records(gpu, arguments):
    assert of(*arguments).output == ROOT / "results/gpu_trial"


def test_a_trial_is_of_one_model_unless_two_are_asked_for(gpu):
    assert of("--tiny").models == ("llama1b",)
    assert of("--tiny", "--models", "llama3b,llama1b").models == ("llama3b", "llama1b")


def test_another_process_gets_the_same_setup(gpu, tmp_path):
    setup = of("--output", str(tmp_path), "--parts", "rates,kill", "--tiny", "--dtype", "float16", "--minutes", "2")
    assert of(*setup.arguments()) == setup


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--parts", "speed"), "--parts 'speed' is unknown; choose from rates, scorer"),
        (("--models", "gpt2"), "--models 'gpt2' is unknown; choose from llama1b, llama3b"),
        (("--models", ","), "--models is empty"),
        (("--minutes", "0"), "--minutes 0: no part fits; give at least 0.1"),
        (("--minutes", "nan"), "--minutes nan: no part fits; give at least 0.1"),
        (("--dtype", "int8"), "--dtype 'int8' is unknown"),
    ],
)
def test_wrong_options_are_one_line(gpu, arguments, message):
    with pytest.raises(SettingsError, match=message):
        of(*arguments)
