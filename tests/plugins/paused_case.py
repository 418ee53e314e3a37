"""The case that the file `$PAUSE/case` names stops after its first batch of answers, while that file is there.

A driver mails answers each half second. The process that has stopped notes its number in `$PAUSE/stopped`.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from glu_lib.cluster import messages
from glu_lib.results.unfinished import Answers

put = Answers.put


def stopping(answers: Answers, found: Mapping[str, Any], **options: Any) -> None:
    """`put`, and the pause."""
    put(answers, found, **options)
    wanted, stopped = Path(os.environ["PAUSE"]) / "case", Path(os.environ["PAUSE"]) / "stopped"
    if not (wanted.exists() and answers.path.name.startswith(f"{wanted.read_text()}-")):
        return
    answers.flush()
    stopped.write_text(str(os.getpid()))
    while wanted.exists():
        time.sleep(0.05)


patch = pytest.MonkeyPatch()  # never undone: the process ends
patch.setattr(Answers, "put", stopping)
patch.setattr(messages, "MAIL_S", 0.5)
