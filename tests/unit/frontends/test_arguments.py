"""The arguments of `glu`."""

import pytest

from glu_lib.frontends.cli.arguments import parser


def test_every_command_has_a_function():
    (commands,) = [action for action in parser()._actions if hasattr(action, "choices") and action.choices]
    names = "list validate consolidate report compare methods difference table layers export power lm_eval push save"
    assert " ".join(commands.choices) == names
    assert all(callable(command.get_default("command")) for command in commands.choices.values())


@pytest.mark.parametrize("given", ["", "  "])
def test_a_blank_organization_is_refused(given, capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["export", "results", "--organization", given])
    assert "argument --organization: is blank; give a name, or leave the option out" in capsys.readouterr().err
    assert parser().parse_args(["export", "results", "--organization", " me "]).organization == "me"
