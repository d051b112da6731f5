"""Names that come from files of others, as they can be shown: they hold whatever they hold."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from shlex import quote
from unicodedata import normalize


def for_figures(name: object) -> str:
    r"""Return a name as a label of matplotlib, which takes what is between dollars for mathtext.

    Examples
    --------
    >>> for_figures(r"$\frac{a}$")
    '\\$\\frac{a}\\$'
    """
    return str(name).replace("$", r"\$")


def for_terminals(text: str, kept: str = "\n\t") -> str:
    r"""Return a text whose characters do nothing but being shown; lines and tabulators stay.

    Examples
    --------
    >>> for_terminals("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)


def same_unit(one: str, other: str) -> bool:
    """Tell whether two units are the same, as far as both are known; spaces do not count.

    Examples
    --------
    >>> same_unit("eV / atom", "eV/atom"), same_unit("eV", ""), same_unit("K", "°C")
    (True, True, False)
    """
    known = {"".join(unit.split()) for unit in (one, other) if unit}
    return len(known) < 2


def encodable(text: str) -> str:
    r"""Return a text with bytes that are not valid UTF-8, as names of files can hold, as escapes.

    Examples
    --------
    >>> print(encodable("caf\udce9"))
    caf\udce9
    """
    return text.encode(errors="backslashreplace").decode()


def crystals(count: int) -> str:
    """Return a number of crystals as words.

    Parameters
    ----------
    count : int

    Returns
    -------
    str
    """
    return "1 crystal" if count == 1 else f"{count} crystals"


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that come more than once.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    list of str

    Examples
    --------
    >>> repeated(["a", "b", "a"])
    ['a']
    """
    return [name for name, count in Counter(names).items() if count > 1]


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names as words, the first of many.

    Examples
    --------
    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    >>> listed([])
    'none'
    """
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def spellings(texts: Iterable[str]) -> list[list[str]]:
    """Return texts that differ by case, blanks or the form of accents alone, the usual ones first.

    Examples
    --------
    >>> spellings(["metal", "gap", "Metal", "metal", "Gap "])
    [['metal', 'Metal'], ['gap', 'Gap ']]
    """
    found = defaultdict[str, Counter[str]](Counter)
    for text in texts:
        found["".join(normalize("NFKC", text).casefold().split())][text] += 1
    return [[text for text, _ in each.most_common()] for each in found.values() if len(each) > 1]


def quoted(text: str) -> str:
    r"""Return a word of a command as bash and zsh take it, also where it is shown in a terminal.

    Examples
    --------
    >>> print(quoted("my data"), quoted("a\x1b[31mb's"))
    'my data' $'a\x1b[31mb\'s'
    """
    if text.isprintable():
        return quote(text)
    parts = (c if c.isprintable() else _escaped(c) for c in re.sub(r"([\\'])", r"\\\1", text))
    return f"$'{''.join(parts)}'"


def _escaped(character: str) -> str:
    """Return the bytes of a character as a shell takes them between $' and '."""
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="surrogateescape"))


def wrapped(text: str, width: int = 36) -> str:
    """Return a name as a label of matplotlib, in lines, broken at spaces and after _.

    Returns
    -------
    str
        A word that is longer is not broken.

    Examples
    --------
    >>> print(wrapped("formation_energy_per_atom (eV)", 18))
    formation_energy_
    per_atom (eV)
    """
    lines = [""]
    for piece in re.split(r"(?<=_)|(?<=\s)", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return for_figures("\n".join(map(str.rstrip, lines)))
