"""What must not grow with the square of the models: pairs of one size, families, and the tables of levels."""

from glu_lib.analysis.size_pairs import MOST_OTHERS, same_size_pairs

ROW = {"kind": "accuracy", "method": "PPM", "divisor": None, "layers": None, "limit": None, "subset": None}


def rows(models, levels=(0, 20, 40)):
    return [
        ROW | {
            "model": f"m{model}",
            "percent": percent,
            "method": "PPM" if percent else None,
            "parameters": (1000 + model) * (100 - percent),
            "record": f"m{model}-p{percent}",
        }
        for model in range(models)
        for percent in levels
    ]  # fmt: skip


def test_a_level_stands_beside_the_nearest_models_only():
    found = same_size_pairs(rows(200, levels=(0, 1)))
    beside = {other["model"] for row, other in found if row["record"] == "m100-p1"}
    beside |= {row["model"] for row, other in found if other["record"] == "m100-p1" and row["percent"]}
    assert len({other["model"] for row, other in found if row["record"] == "m0-p1"}) == MOST_OTHERS
    assert beside
    assert len(found) <= 200 * MOST_OTHERS


def test_pairs_grow_with_the_models():
    few, many = (len(same_size_pairs(rows(models))) for models in (100, 400))
    assert few <= 2 * 100 * MOST_OTHERS
    assert many <= 2 * 400 * MOST_OTHERS


def test_up_to_that_many_models_every_other_one_counts():
    found = same_size_pairs(rows(MOST_OTHERS + 1, levels=(0, 1)))
    mine = {row["model"] for both in found for row in both if "m0-p1" in (both[0]["record"], both[1]["record"])}
    assert len(mine) == MOST_OTHERS + 1


def test_of_two_as_near_the_less_pruned_counts():
    pruned = rows(1, levels=(40,))[0]
    others = [pruned | {"model": "b", "percent": percent, "record": f"b-p{percent}"} for percent in (30, 10)]
    row, other = same_size_pairs([pruned, *others])[0]
    assert (row["record"], other["record"]) == ("m0-p40", "b-p10")
