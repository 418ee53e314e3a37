"""A model with a baseline: what it takes over from it, and the study files that are refused."""

import dataclasses

import pytest

from glu_lib.errors import StudyError
from glu_lib.frontends.cli.listing import model_rows
from glu_lib.study import STUDY, ModelVariant, VariantKind
from glu_lib.study.asked import parse_level
from glu_lib.study.baselines import comparison_of
from glu_lib.study.cases import CaseKind, build_cases

RECOVERED = '[models.recovered]\nsource = "a/folder"\n'
SHAPE = dataclasses.replace(STUDY.models["nano"].architecture, intermediate_size=308)


def test_two_lines_are_enough_for_a_checkpoint(load):
    found = load(f'{RECOVERED}baseline = "nano"\nlevel = 40\n')
    variant = found.study.models["recovered"]
    assert (variant.baseline, variant.level, variant.levels, variant.kind) == ("nano", 40, (0,), VariantKind.BASE)
    assert found.notes == ()
    assert comparison_of(variant) == "nano p40"
    assert [row[-1] for row in model_rows({"recovered": variant, "nano": found.study.models["nano"]})] == [
        "nano p40",
        "",
    ]


def test_it_runs_the_tasks_of_its_baseline_at_p0_alone(load):
    study = dataclasses.replace(load(f'{RECOVERED}baseline = "nano"\n').study, has_controls=True)
    ids = {case.id for case in build_cases(study) if case.model.key == "recovered"}
    subjects = {
        case.subject_key
        for case in build_cases(study)
        if case.model.key == "nano" and case.kind in (CaseKind.ACCURACY, CaseKind.ENERGY, CaseKind.SERVING)
    }
    # Neither levels nor controls nor layer scans; its shape is not known here, so that it has no architecture case.
    assert ids == {f"recovered-p0-{task}" for task in subjects}


def test_kind_and_suites_are_the_baselines_wherever_its_table_stands(load):
    original = '[models.original]\nsource = "b/folder"\nkind = "instruct"\nsuites = ["chat"]\n'
    text = f'{RECOVERED}baseline = "original"\n\n{original}'
    found = load(text)
    assert found.study.models["recovered"].kind is VariantKind.INSTRUCT
    assert [key for key, suite in found.study.suites.items() if "recovered" in suite.models] == ["chat"]
    assert load(
        f'{text}\n[models.other]\nsource = "c"\nbaseline = "original"\nkind = "base"\nsuites = ["paper"]\n'
    ).study


def test_levels_of_a_run_leave_it_as_it_was_saved(load):
    study = load(f'{RECOVERED}baseline = "nano"\nlevel = "2.4x"\n').study.with_levels([20, parse_level("2.4x")])
    assert study.models["recovered"].levels == (0,)
    assert study.models["nano"].levels == (0, 20, parse_level("2.4x"))
    assert comparison_of(study.models["recovered"]) == "nano 2.4x"


def test_a_built_in_model_may_get_other_weights_and_a_baseline(load):
    found = load('[models.llama3b]\nsource = "my/llama"\nbaseline = "llama1b"\n').study.models["llama3b"]
    assert (found.levels, found.baseline, found.architecture) == ((0,), "llama1b", None)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('baseline = "nono"', "model 'recovered': baseline 'nono' is not in the study; choose one of nano, llama1b, "),
        (
            'baseline = "recovered"',
            "model 'recovered': its baseline is itself; name the unpruned model that it was made",
        ),
        (
            'baseline = "nano"\nlevels = [0, 20]',
            "model 'recovered': levels 0, 20 beside baseline 'nano'; a checkpoint is compared as it was saved: leave "
            "levels out, or leave baseline out to prune it",
        ),
        ("level = 40", "model 'recovered': level 40 without a baseline; name the model that has this level"),
        ('baseline = "nano"\nlevel = 0', "model 'recovered': level 0 is outside 1–95 per cent; choose one inside"),
        ('baseline = "nano"\nlevel = 96', "model 'recovered': level 96 is outside 1–95 per cent"),
        ('baseline = "nano"\nlevel = "wide"', "level 'wide': write a level as 40 (per cent"),
        ('baseline = "nano"\nlevel = true', "level is True; it must be a whole number or text"),
        ("baseline = 5", "baseline is 5; it must be a text"),
        (
            'baseline = "nano"\nlevel = "9x"',
            "model 'recovered': level 9x of its baseline 'nano': it has 4x unpruned, which is p0; ask for less",
        ),
        (
            'baseline = "nano"\n[models.other]\nsource = "b"\nbaseline = "recovered"',
            "model 'other': its baseline 'recovered' has a baseline itself ('nano'); name an unpruned model",
        ),
        (
            'baseline = "other"\n[models.other]\nsource = "b"\nbaseline = "recovered"',
            "model 'recovered': its baseline 'other' has a baseline itself ('recovered'); name an unpruned model",
        ),
    ],
)
def test_bad_files_are_one_line(load, lines, said):
    with pytest.raises(StudyError) as caught:
        load(f"{RECOVERED}{lines}\n")
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def with_checkpoint(**fields):
    made = ModelVariant("recovered", "a/folder", VariantKind.BASE, (0,), baseline="nano", **fields)
    return dataclasses.replace(STUDY, models={**STUDY.models, "recovered": made})


@pytest.mark.parametrize("level", [40, parse_level("2.41x"), None])
def test_known_widths_may_be_those_of_the_level(level):
    assert with_checkpoint(level=level, architecture=SHAPE).models["recovered"].level == level


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (20, "level p20 of its baseline 'nano' has 410 neurons per MLP in 4 layers at hidden size 128"),
        (parse_level("3x"), "level 3x of its baseline 'nano' has 384 neurons per MLP in 4 layers at hidden size 128"),
    ],
)
def test_other_widths_than_those_of_the_level_are_refused(level, said):
    with pytest.raises(StudyError) as caught:
        with_checkpoint(level=level, architecture=SHAPE)
    assert str(caught.value) == (
        f"model 'recovered': {said}, the checkpoint has 308 neurons per MLP in 4 layers at hidden size 128; correct "
        "level, or leave it out to compare by its own width"
    )


def test_a_level_that_removes_no_neuron_is_refused():
    tiny = dataclasses.replace(STUDY.models["nano"], architecture=dataclasses.replace(SHAPE, intermediate_size=50))
    made = ModelVariant("recovered", "a/folder", VariantKind.BASE, (0,), baseline="nano", level=1)
    with pytest.raises(StudyError, match="level p1 of its baseline 'nano': 1 % of 50 neurons is less than one"):
        dataclasses.replace(STUDY, models={**STUDY.models, "nano": tiny, "recovered": made})


def test_a_level_in_bytes_waits_for_the_dtype():
    assert with_checkpoint(level=parse_level("1MB"), architecture=SHAPE).models["recovered"].baseline == "nano"
