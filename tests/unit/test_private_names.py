"""Private names of other packages stand in one module each, with the reason beside them."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "glu_lib"
PLACES = {
    "frontends/pytest_plugin/internals.py",  # pytest
    "frontends/pytest_plugin/scheduling.py",  # pytest-xdist
    "measure/energy/tracker.py",  # CodeCarbon, while measuring
    "results/codecarbon_memory.py",  # CodeCarbon, for the check of early records, which must not import `measure`
    "measure/scoring/lm_eval_internals.py",  # lm-eval
}
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
PUBLIC = {"_exit"}  # os._exit is documented
OF_LM_EVAL = re.compile(r"\b(def|\.) ?_(loglikelihood_tokens|encode_pair|model_call|model_generate)\b")


def private_names(path):
    """Attributes with a leading underscore that are not an object's own, and imports from private modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            is_own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not is_own and node.attr not in PUBLIC:
                yield node.attr
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
            yield from (name for name in names if re.search(r"(^|\.)_(?!_)", name))


@pytest.mark.parametrize("module", MODULES)
def test_private_names_of_other_packages_stand_in_one_module_each(module):
    found = [*private_names(PACKAGE / module), *OF_LM_EVAL.findall((PACKAGE / module).read_text(encoding="utf-8"))]
    assert bool(found) == (module in PLACES), found


def test_the_search_finds_what_it_is_for(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("from _pytest.nodeid import NodeId\nitem.session._setupstate\nself._own\ntree.__doc__\n")
    assert list(private_names(path)) == ["_pytest.nodeid", "_setupstate"]


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("run/")])
def test_the_driver_is_made_of_small_modules(module):
    lines = (PACKAGE / module).read_text(encoding="utf-8").splitlines()
    rooms = [line for line in lines if line.startswith("from glu_lib")]
    assert len(lines) <= 250
    assert len(rooms) <= 15  # experiment.py, which assembles the parts; session.py, the driver, has ten
