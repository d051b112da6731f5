"""The kinds of task by name."""

from collections.abc import Callable
from typing import Any


class Tasks(dict[str, type[Any]]):
    """Subclasses of `Task` by name."""

    def register(self, kind: str) -> Callable[[type[Any]], type[Any]]:
        """Return a decorator that adds a subclass of `Task` under a name."""

        def add(task: type[Any]) -> type[Any]:
            task.kind = kind
            self[kind] = task
            return task

        return add


TASKS = Tasks()
