"""lm-eval's tasks: indexed and loaded once per process; requests are built once for all levels."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from glu_lib.errors import AccessError, StudyError, one_line
from glu_lib.measure.tasks.declared_metric import check_metric
from glu_lib.measure.tasks.few_shot import WHOLE_TEXTS, check_few_shot, set_few_shot
from glu_lib.measure.tasks.window_sizes import window_size
from glu_lib.models.hub_access import first_line, is_unreachable, with_patience
from glu_lib.nano import TASKS_DIR
from glu_lib.study import NO_TEMPLATE, Task

_CONTINUATIONS = ("loglikelihood", WHOLE_TEXTS)
_WINDOWS_DIR = Path(__file__).resolve().parent / "windows"
_HAS_NO_WINDOW = "lm-eval cuts its texts by the model's context and takes no window; remove window"
_NEEDS_WINDOW = 'its text is scored in windows; set window = 2048, another number of tokens, or "context"'


@dataclass(slots=True)
class TaskLibrary:
    """Cache of lm-eval's tasks: each one is loaded once per process and used at all levels."""

    _loaded: dict[str, Any] = field(default_factory=dict)

    def load(self, task: Task, *, seed: int) -> Any:
        """lm-eval's task dictionary for `task`, with few-shot count and seed set.

        Only names in lm-eval's index are passed to its loader. The loader would accept a path as well, and run Python
        code that the file there names.

        Raises:
            StudyError: if lm-eval does not have the task, cannot prompt it as the study says, or would run code
                written by a model.
            AccessError: if the task's data cannot be loaded; one line with cause and remedy.
        """
        if task.key not in self._loaded:
            import lm_eval.evaluator  # noqa: F401  (takes seconds, so it must not happen inside an energy window)

            self.check_known(task)
            try:
                loaded = with_patience(lambda: self._manager(task.embedded).load([task.lm_eval_name]))
            except Exception as error:  # loaders and the code of tasks may raise any exception
                raise AccessError(_cannot_be_loaded(task, error)) from error
            for lm_eval_task in loaded["tasks"].values():
                check_prompt_format(task, lm_eval_task.get_config("output_type"))
                set_few_shot(task, lm_eval_task)
                lm_eval_task.build_all_requests = _BuildOnce(lm_eval_task)
            _seed_language_detection()
            self._loaded[task.key] = loaded
        for lm_eval_task in self._loaded[task.key]["tasks"].values():
            lm_eval_task.build_all_requests.seed = seed
        return self._loaded[task.key]

    def check_known(self, task: Task) -> None:
        """Check `task` and its metric against lm-eval's index, without loading data.

        Raises:
            StudyError: if lm-eval does not have the task or its metric, cannot prompt it as the study says, or would
                run code written by a model.
        """
        self._check_indexed(task)
        self.check_few_shot(task)
        check_metric(task, self._configs(task))

    def check_few_shot(self, task: Task) -> None:
        """Compare the study's prompt format and few-shot count with lm-eval's index.

        Raises:
            StudyError: if lm-eval would use another few-shot count, or cannot apply the prompt format.
        """
        for config in self._configs(task):
            check_prompt_format(task, config.get("output_type"))
            name = str(config.get("task") if isinstance(config.get("task"), str) else config.get("group"))
            check_few_shot(task, name, config.get("num_fewshot"), config.get("output_type"))

    def check_window(self, task: Task, context: int) -> None:
        """Check that the windows of `task`, if it has any, fit into a context of so many tokens.

        Raises:
            MeasurementError: if they do not.
        """
        if task.window is not None:
            window_size(task, context)

    def _check_indexed(self, task: Task) -> None:
        """Check that lm-eval's index has the task and that it is safe to load.

        Tasks marked `unsafe_code` run code written by the model. Some of them download and run code as soon as they are
        loaded, before lm-eval itself would refuse them.
        """
        if task.lm_eval_name not in self._manager(task.embedded).task_index:
            raise StudyError(
                f"task {task.key}: lm-eval has no task {task.lm_eval_name!r}; choose one that `lm_eval ls tasks` lists"
            )
        if self._manager(task.embedded).task_index[task.lm_eval_name].kind.name == "TAG":
            raise StudyError(
                f"task {task.key}: lm-eval's {task.lm_eval_name} is a tag of several tasks and has no common score; "
                "name one of the tasks, or a group"
            )
        if (task.window is not None) != (_window_file(task) is not None):
            raise StudyError(f"task {task.key}: {_HAS_NO_WINDOW if task.window else _NEEDS_WINDOW}")
        if any(config.get("unsafe_code") for config in self._configs(task)):
            raise StudyError(
                f"task {task.key}: lm-eval's {task.lm_eval_name} runs code written by the model, which this suite "
                "refuses; leave the task out, or score it with lm-eval itself in a container"
            )

    def answer_tokens(self, task: Task, default: int) -> int | None:
        """Most tokens of a generated answer, from lm-eval's index; None if the task generates nothing.

        Args:
            task: a task in lm-eval's index.
            default: the limit if the task sets none.
        """
        options = [
            config.get("generation_kwargs") or {}
            for config in self._configs(task)
            if config.get("output_type") == "generate_until"
        ]
        return max((found.get("max_gen_toks", default) for found in options), default=None)

    def _configs(self, task: Task) -> Iterator[dict[str, Any]]:
        """The configurations in the index of a task or group and of all its members."""
        index = self._manager(task.embedded).task_index
        waiting: list[tuple[str, dict[str, Any]]] = [(task.lm_eval_name, {})]
        seen = set()
        while waiting:
            name, changes = waiting.pop()
            entry = index.get(name)
            if entry is None or name in seen:
                continue
            seen.add(name)
            config = (entry.cfg or {}) | changes
            yield config
            members = config.get("task")
            for found in members if isinstance(members, list) else []:
                # A member given as a table overrides settings of the task that it names.
                named = found if isinstance(found, str) else str(found.get("task") or found.get("group"))
                waiting.append((named, found if isinstance(found, dict) and isinstance(found.get("task"), str) else {}))
            if entry.kind.name == "TAG":  # a group may have a tag as a member
                waiting += [(other.name, {}) for other in index.values() if name in other.tags]

    def _manager(self, embedded: bool) -> Any:
        """The index of the embedded tasks (takes milliseconds), or of lm-eval's own and of windows (takes seconds)."""
        return _index(TASKS_DIR if embedded else None)


def _seed_language_detection() -> None:
    """Seed langdetect, which IFEval's checks call; without a seed it draws at random and scores differ between runs."""
    if "langdetect" in sys.modules:
        sys.modules["langdetect"].DetectorFactory.seed = 0


@lru_cache
def _index(folder: Path | None) -> Any:
    """The index of the task files in a folder, or of lm-eval's own and of `windows`; cached, as it takes seconds."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(folder or _WINDOWS_DIR), include_defaults=folder is None)


def check_prompt_format(task: Task, output_type: str | None) -> None:
    """Check that a task with chat prompts asks a question instead of scoring how a text continues.

    Raises:
        StudyError: if `task` has chat prompts and one of lm-eval's log-likelihood output types.
    """
    if task.is_chat and output_type in _CONTINUATIONS:
        raise StudyError(f"task {task.key}: {NO_TEMPLATE}")


def _cannot_be_loaded(task: Task, error: Exception) -> str:
    """The error message for a task that cannot be loaded: cause and remedy."""
    what = f"task {task.key}: its data cannot be loaded ({type(error).__name__}: {one_line(first_line(error))})"
    if isinstance(error, ImportError):
        return f"{what}; install the package that the error names, or leave the task out"
    if is_unreachable(error):
        return f"{what}; check the connection, or load the data once on a connected machine and copy its cache"
    return f"{what}; the task does not work with these versions of lm-eval and datasets: leave it out"


class _BuildOnce:
    """Replaces a task's `build_all_requests`: reuses the last built requests, with their answers removed.

    The few-shot seed is reset to `seed` for each build, so that the examples do not depend on earlier builds.
    """

    def __init__(self, task: Any) -> None:
        self._task = task
        self._build = task.build_all_requests
        self.seed = 0
        self._key: tuple[Any, ...] | None = None

    def __call__(self, *, limit: int | None = None, chat_template: Any = None, **options: Any) -> None:
        """Build the task's instances as lm-eval does, unless seed, limit, template and options have not changed."""
        # chat_template is a method of the lm-eval model; the actual template belongs to its tokenizer.
        tokenizer = getattr(getattr(chat_template, "__self__", None), "tokenizer", None)
        template = chat_template and (getattr(tokenizer, "chat_template", None) or chat_template)
        special = chat_template and getattr(tokenizer, "special_tokens_map", None)
        key = (self.seed, limit, str(template), str(special), sorted(options.items(), key=str))
        if key != self._key:
            self._task.set_fewshot_seed(seed=self.seed)
            self._build(limit=limit, chat_template=chat_template, **options)
            self._key = key
        for instance in self._task.instances:
            instance.resps, instance.filtered_resps = [], {}

    def forget(self) -> None:
        """Build anew at the next call, because the task's documents have changed."""
        self._key = None


def task_data_digest(task: Task) -> str | None:
    """SHA-256 of the definition of a task that ships with the package, and of its items if they do.

    None for lm-eval's tasks, which its version identifies.
    """
    files = [*_own_files(task)]
    if not files:
        return None
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _window_file(task: Task) -> Path | None:
    """The definition of a task that scores a text in windows; None for other tasks."""
    path = _WINDOWS_DIR / f"{task.lm_eval_name}.yaml"
    return path if path.exists() else None


def _own_files(task: Task) -> Iterator[Path]:
    if (found := _window_file(task)) is not None:
        yield from (_WINDOWS_DIR / "_shared.yaml", found)
    if not task.embedded:
        return
    yield TASKS_DIR / f"{task.lm_eval_name}.yaml"
    yield TASKS_DIR / f"{task.lm_eval_name.removeprefix('nano_')}.jsonl"
