"""Write the tokenizer and the tasks of the embedded model: `python -m glu_lib.nano.generate`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from glu_lib.nano.families import FAMILIES
from glu_lib.nano.paths import MODEL_DIR, TASKS_DIR
from glu_lib.nano.task_yaml import task_yaml
from glu_lib.nano.tokenizer import save_tokenizer
from glu_lib.nano.world import build_world


def write_tasks(folder: Path) -> None:
    """Write `<key>.jsonl` and `nano_<key>.yaml` of every family, with the same bytes on every machine."""
    folder.mkdir(parents=True, exist_ok=True)
    world = build_world()
    for family in FAMILIES:
        lines = [json.dumps(item, ensure_ascii=False) + "\n" for item in family.items(world)]
        _write(folder / f"{family.key}.jsonl", "".join(lines))
        _write(folder / f"nano_{family.key}.yaml", task_yaml(family.key))


def write_tokenizer(folder: Path) -> None:
    """Write the tokenizer's files, with the same bytes on every machine."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(build_world(), folder)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and write the files."""
    parser = argparse.ArgumentParser(
        prog="python -m glu_lib.nano.generate",
        description="Write the embedded model's tokenizer and lm-eval tasks; the files are the same every time.",
    )
    parser.add_argument("--tasks", type=Path, default=TASKS_DIR, help="tasks' folder (default: the package's)")
    parser.add_argument(
        "--model", type=Path, default=MODEL_DIR, help="folder of the tokenizer (default: the package's)"
    )
    options = parser.parse_args(arguments)
    write_tasks(options.tasks)
    write_tokenizer(options.model)
    print(f"wrote tasks to {options.tasks}, tokenizer to {options.model}")


if __name__ == "__main__":
    main()
