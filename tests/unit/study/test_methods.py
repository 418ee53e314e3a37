"""What `--method` takes: names, seeds of random, files of scores."""

import hashlib

import pytest

from glu_lib.errors import StudyError
from glu_lib.study import STUDY, Method
from glu_lib.study.architecture import pruned_width
from glu_lib.study.cases import CaseKind, build_cases
from glu_lib.study.layers import Layers
from glu_lib.study.methods import Selection, is_random


@pytest.mark.parametrize("text", ["PPM", "ppm", "MAW", "maw"])
def test_maw_means_ppm(text):
    assert Selection.parse(text) == (Selection(Method.PPM),)


@pytest.mark.parametrize("method", [method for method in Method if method not in (Method.RANDOM, Method.FILE)])
def test_names_are_taken_in_upper_and_lower_case(method):
    for text in (method, method.upper(), method.lower()):
        assert Selection.parse(text) == (Selection(method),)
        assert Selection.parse(text)[0].key == method


def test_random_stands_for_three_seeds():
    assert [found.key for found in Selection.parse("random")] == ["random1", "random2", "random3"]
    assert [found.seed for found in Selection.parse("RANDOM")] == [1, 2, 3]


@pytest.mark.parametrize(("text", "seed"), [("random:7", 7), ("Random:0", 0), ("random:999999", 999_999)])
def test_random_with_a_seed_is_that_one(text, seed):
    assert Selection.parse(text) == (Selection(Method.RANDOM, seed),) == (Selection.parse_one(text),)


@pytest.mark.parametrize(
    "text", ["random:", "random:-1", "random:x", "random:1000000", "random:1.5", "random:²", "random:٧"]
)
def test_a_wrong_seed_is_refused_in_one_line(text):
    with pytest.raises(StudyError) as caught:
        Selection.parse(text)
    assert str(caught.value) == (f"method {text!r}: the seed must be a whole number from 0 to 999999, as in random:7")


@pytest.mark.parametrize("text", ["magic", "", "ppm:1", "vow:7", "file", "FILE", "hybrid:"])
def test_an_unknown_method_is_named_with_the_choices(text):
    with pytest.raises(StudyError) as caught:
        Selection.parse(text)
    assert str(caught.value) == (
        f"method {text!r} is unknown; choose one of PPM, PPM_down, VOW, PON, L2, hybrid, random (MAW means PPM, "
        "random:7 is one seed), or file:NAME.safetensors for scores of your own"
    )


def test_where_one_method_is_needed_random_without_a_seed_is_refused():
    with pytest.raises(StudyError, match="^method 'random' stands for 3 seeds; name one, such as random:1$"):
        Selection.parse_one("random")


def test_a_score_file_has_its_name_in_the_key_and_the_digest_of_its_content(tmp_path):
    path = tmp_path / "ours_2.safetensors"
    path.write_bytes(b"scores")
    (found,) = Selection.parse(f"file:{path}")
    assert (found.method, found.key, found.scores.path) == (Method.FILE, "file_ours_2", path)
    assert found.scores.digest == hashlib.sha256(b"scores").hexdigest()
    path.write_bytes(b"other")
    assert Selection.parse(f"file:{path}") != (found,)


@pytest.mark.parametrize(
    "name", ["Ours.safetensors", "a-b.safetensors", "a.b.safetensors", "ours.pt", "", "x" * 31 + ".safetensors"]
)
def test_a_file_whose_name_cannot_stand_in_ids_is_refused_in_one_line(tmp_path, name):
    path = tmp_path / name
    if name:
        path.write_bytes(b"")
    with pytest.raises(StudyError) as caught:
        Selection.parse(f"file:{path}")
    assert str(caught.value) == (
        f"method file:{path}: the file must be called NAME.safetensors, NAME of at most 30 lower-case letters, digits "
        "and _ (it is used in case ids); rename it"
    )


def test_a_file_that_is_not_there_is_refused_in_one_line(tmp_path):
    path = tmp_path / "ours.safetensors"
    with pytest.raises(StudyError) as caught:
        Selection.parse(f"file:{path}")
    assert str(caught.value) == (
        f"method file:{path}: cannot be read (No such file or directory); name an existing file"
    )


@pytest.mark.parametrize("names", [["random:1", "random:10"], ["random:10", "random:1"], ["random", "random:25"]])
def test_methods_that_k_cannot_tell_apart_are_refused(names):
    chosen = [found for name in names for found in Selection.parse(name)]
    with pytest.raises(
        StudyError, match=r"^methods random(1|2) and random(10|25): -k random\1 would select both; leave"
    ):
        build_cases(STUDY, chosen)


@pytest.mark.parametrize("names", [["random:2", "random:13"], ["PPM", "PPM_down"], ["random:1", "random:1"]])
def test_methods_that_k_can_tell_apart_are_not(names):
    chosen = [found for name in names for found in Selection.parse(name)]
    cases = build_cases(STUDY, chosen)
    levels = {case.pruning.key for case in cases if case.model.key == "nano" and case.pruning.percent == 40}
    assert levels == {"p40" if found.key == "PPM" else f"p40-{found.key}" for found in chosen}
    assert len({case.id for case in cases}) == len(cases)


def test_a_layer_scan_comes_for_each_method_and_uses_the_unpruned_model():
    chosen = [*Selection.parse("PPM"), *Selection.parse("random:2")]
    scans = [case for case in build_cases(STUDY, chosen) if case.kind is CaseKind.LAYERS and case.model.key == "nano"]
    assert [case.id for case in scans] == [
        "nano-p10-layer_scan",
        "nano-p10-random2-layer_scan",
    ]
    assert {case.group for case in scans} == {"nano-p0"}
    assert {case.marks for case in scans} == {("layers",)}


@pytest.mark.parametrize(
    ("key", "expected"), [("random1", True), ("random", True), ("PPM", False), (None, False), ("file_random1", False)]
)
def test_random_selections_are_known_by_their_key(key, expected):
    assert is_random(key) is expected


@pytest.mark.parametrize("name", ["p40", "nano_scores", "my_piqa"])
def test_a_score_file_that_hides_another_name_is_refused(tmp_path, name):
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(b"")
    with pytest.raises(StudyError, match=f"score file '{name}' contains .*: -k .* would select both; rename it"):
        build_cases(STUDY, Selection.parse(f"file:{path}"))


@pytest.mark.parametrize(("names", "seeds"), [(["PPM"], {1, 2, 3}), (["PPM", "random:10"], {10})])
def test_a_layer_scan_stands_beside_the_seeds_of_the_run_or_the_default_ones(names, seeds):
    cases = build_cases(STUDY, [found for name in names for found in Selection.parse(name)])
    scans = [case.pruning for case in cases if case.model.key == "nano" and case.kind is CaseKind.LAYERS]
    assert {pruning.seed for pruning in scans if pruning.method is Method.RANDOM} == seeds


def test_a_level_that_removes_no_neuron_is_refused_in_one_line():
    with pytest.raises(StudyError, match="1 % of 40 neurons is less than one; choose a higher level"):
        pruned_width(40, 1)


def test_two_score_files_of_one_name_are_refused(tmp_path):
    chosen = []
    for folder in ("x", "y"):
        path = tmp_path / folder / "ours.safetensors"
        path.parent.mkdir()
        path.write_bytes(folder.encode())
        chosen += Selection.parse(f"file:{path}")
    with pytest.raises(
        StudyError, match="two score files are called 'ours': their cases would have one id; rename one"
    ):
        build_cases(STUDY, chosen)


def test_a_layer_set_is_refused_only_for_the_models_that_it_does_not_fit():
    cases = build_cases(STUDY, layers=[Layers.parse("1-14")])
    pruned = {case.model.key: case for case in cases if case.pruning.layers}
    pruned["llama1b"].check_fits()
    with pytest.raises(StudyError, match="^model nano, level .*: layers '1-14': the model has 4 layers"):
        pruned["nano"].check_fits()


def test_one_set_written_in_two_ways_is_one_level():
    cases = build_cases(STUDY, layers=[Layers.parse("1-"), Layers.parse("-0"), Layers.parse("1-3")])
    keys = {case.pruning.layers.text for case in cases if case.model.key == "nano" and case.pruning.layers}
    assert keys == {"1-"}
