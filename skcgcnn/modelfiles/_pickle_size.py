"""How much is nested in a pickle, told without loading it."""

import pickletools
from typing import IO, Any

# What a tuple of a model file holds, with all in it: the shape of a tensor, for example.
_MOST_NESTED = 10_000
_MARK = pickletools.markobject


def check_tuples(file: Any, n_pickles: int = 1) -> None:
    """Refuse tuples of tuples of tuples: as a key of a dict, a kB of them takes years to hash.

    Parameters
    ----------
    file : binary file
        At the beginning of a pickle.
    n_pickles : int, default=1
        How many stand one after the other.

    Raises
    ------
    ValueError
        If a tuple holds too much, or it is not a pickle.
    """
    for _ in range(n_pickles):
        if not file.peek(1):
            break  # of another kind: who loads it tells
        _check(file)


def _check(file: IO[bytes]) -> None:
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(file):
        name, before = opcode.name, opcode.stack_before
        if name in {"PUT", "BINPUT", "LONG_BINPUT"}:
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in {"GET", "BINGET", "LONG_BINGET"}:
            stack.append(memo.get(argument, 1))
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            taken = _taken(stack, before)
            size = 1 + sum(taken) if "TUPLE" in name else 1
            if size > _MOST_NESTED:
                raise ValueError("tuples are nested too deeply")
            stack += [_MARK if each is _MARK else size for each in opcode.stack_after]


def _taken(stack: list[Any], before: list[Any]) -> list[int]:
    """Take from the stack what an operation takes; return the sizes."""
    if _MARK not in before:
        taken = stack[len(stack) - len(before) :]
        del stack[len(stack) - len(before) :]
        return [each for each in taken if each is not _MARK]
    place = max(i for i, each in enumerate(stack) if each is _MARK)
    taken = stack[place + 1 :]
    # What stands before the mark is taken too.
    del stack[place - before.index(_MARK) :]
    return taken
