"""A module or class that grows past these sizes has more than one purpose."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "glu_lib").rglob("*.py"))
MOST_MODULE_LINES = 250
MOST_CLASS_LINES = 200


def too_long(name, text):
    """What is too long in the module called `name`, with its lines."""
    lines = len(text.splitlines())
    if lines > MOST_MODULE_LINES:
        yield f"{name}: {lines} lines, at most {MOST_MODULE_LINES}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            lines = node.end_lineno - first + 1
            if lines > MOST_CLASS_LINES:
                yield f"{name}, class {node.name}: {lines} lines, at most {MOST_CLASS_LINES}"


def test_no_module_or_class_is_too_long():
    found = [
        line
        for path in MODULES
        for line in too_long(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(["split these along their purposes:", *found])


def test_lines_are_counted_with_decorators_and_the_last_one():
    assert "glu_lib/models/pruning.py" in {path.relative_to(ROOT).as_posix() for path in MODULES}
    fits = "\n".join(["@final", "class Wide:", *["    width = 1"] * 198])
    assert not list(too_long("x.py", fits))
    assert list(too_long("x.py", f"{fits}\n    width = 1")) == ["x.py, class Wide: 201 lines, at most 200"]
    assert not list(too_long("x.py", "width = 1\n" * 250))
    assert list(too_long("x.py", "width = 1\n" * 251)) == ["x.py: 251 lines, at most 250"]
