"""Texts for figures and messages."""

import textwrap


def wrapped(text: str, width: int = 36) -> str:
    """Return a text in lines of at most so many characters, broken after _ too.

    Parameters
    ----------
    text : str
    width : int, default=36

    Returns
    -------
    str

    Examples
    --------
    >>> print(wrapped("formation_energy_per_atom (eV)", 18))
    formation_energy_
    per_atom (eV)
    """
    # A mark that is no letter lets the lines end after an underscore.
    lines = textwrap.wrap(text.replace("_", "_\u200b "), width)
    return "\n".join(lines).replace("\u200b ", "").replace("\u200b", "")
