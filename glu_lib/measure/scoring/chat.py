"""lm-eval's `HFLM` with chat prompts that are the same on every day and lose nothing without a word."""

from __future__ import annotations

from typing import Any

from jinja2.exceptions import TemplateError
from lm_eval.models.huggingface import HFLM

from glu_lib.errors import MeasurementError, one_line
from glu_lib.study import CHAT_DATE

_TODAY = "strftime_now"  # the function by which transformers' chat templates ask for today's date
_DIRECTIVES = "aAbBdmyYjHIMSpxX"  # of strftime


class ChatHFLM(HFLM):  # type: ignore[misc]  # lm-eval ships no type information
    """Scores as `HFLM`. A template that asks for today's date is told CHAT_DATE."""

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The turns of a chat as one text.

        lm-eval leaves the system message out where a template takes none, so that a task's description would be lost.

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
                f"the model's chat template takes no chat of the roles {roles} ({one_line(str(error))}); leave the "
                "task out for this model, or score it with plain prompts"
            ) from error
        return text


def _dated(template: str) -> str:
    """`template` with a macro of its own in the place of transformers' function for today's date."""
    filled = "".join(f"|replace('%{sign}', '{CHAT_DATE.strftime(f'%{sign}')}')" for sign in _DIRECTIVES)
    return f"{{%- macro {_TODAY}(format) -%}}{{{{ format{filled} }}}}{{%- endmacro -%}}{template}"
