"""lm-eval's `HFLM` with chat prompts that do not depend on today's date and never silently lose a message."""

from __future__ import annotations

from typing import Any

from jinja2.exceptions import TemplateError

from glu_lib.errors import MeasurementError, one_line
from glu_lib.measure.scoring.lm_eval_internals import OpenHFLM
from glu_lib.study import CHAT_DATE

_TODAY = "strftime_now"  # the function by which transformers' chat templates ask for today's date
_DIRECTIVES = "aAbBdmyYjHIMSpxX"  # of strftime


class ChatHFLM(OpenHFLM):
    """Scores as `HFLM`. Chat templates that ask for today's date get CHAT_DATE."""

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The turns of a chat as one text.

        lm-eval drops the system message if the template does not support one, which would lose a task's description.
        Here this is an error.

        Raises:
            MeasurementError: if the template cannot render the turns.
        """
        template: str = self.tokenizer.get_chat_template()
        options: dict[str, Any] = dict(self.chat_template_args)
        if _TODAY in template:
            options["chat_template"] = _dated(template)
        try:
            text: str = self.tokenizer.apply_chat_template(
                chat_history,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
                **options,
            )
        except TemplateError as error:
            roles = ", ".join(dict.fromkeys(turn["role"] for turn in chat_history))
            raise MeasurementError(
                f"the model's chat template cannot render the roles {roles} ({one_line(str(error))}); leave the "
                "task out for this model, or score it with plain prompts"
            ) from error
        return text


def _dated(template: str) -> str:
    """Prefix `template` with a macro that replaces transformers' function for today's date by CHAT_DATE."""
    filled = "".join(f"|replace('%{sign}', '{CHAT_DATE.strftime(f'%{sign}')}')" for sign in _DIRECTIVES)
    return f"{{%- macro {_TODAY}(format) -%}}{{{{ format{filled} }}}}{{%- endmacro -%}}{template}"
