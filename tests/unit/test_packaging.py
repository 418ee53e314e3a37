"""The version is one, every dependency is pinned, and the files of hosted services can be read."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

import glu_lib
from glu_lib.frontends.cli.entry import main

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOSTED = sorted([*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"])


def _name(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def test_citation_and_changelog_tell_the_same_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == glu_lib.__version__
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest[1] == glu_lib.__version__


def test_the_command_tells_its_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"glu {glu_lib.__version__}\n"


def test_every_dependency_is_pinned():
    pinned = {_name(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    extras = PROJECT["optional-dependencies"].values()
    wanted = {_name(requirement) for part in (PROJECT["dependencies"], *extras) for requirement in part}
    assert wanted - pinned == {PROJECT["name"]}  # `dev` contains `docs`


def _imported(path):
    """Top-level packages that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_every_package_that_the_code_imports_is_a_dependency():
    imported = {name for path in (ROOT / "glu_lib").rglob("*.py") for name in _imported(path)}
    foreign = imported - sys.stdlib_module_names - {"glu_lib"}
    distributions = packages_distributions()
    extras = PROJECT["optional-dependencies"]
    optional = [*extras["gguf"], *extras["cluster"]]  # imported where a study names a GGUF file, and for --cluster
    declared = {_name(requirement) for requirement in (*PROJECT["dependencies"], *optional)}
    assert {name for name in foreign if not declared & set(map(_name, distributions.get(name, [name])))} == set()


@pytest.mark.parametrize("path", HOSTED, ids=lambda path: path.name)
def test_files_of_hosted_services_name_files_that_exist(path):
    text = path.read_text(encoding="utf-8")
    assert yaml.safe_load(text)
    named = re.findall(r"(?:bash|python) ([\w./]+\w)", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_ci_runs_on_every_declared_python():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    declared = [line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert jobs["test"]["strategy"]["matrix"]["python"] == declared
    assert PROJECT["requires-python"] == f">={declared[0]}"
