"""Texts for figures."""

import re


def wrapped(text: str, width: int = 36) -> str:
    """Return a text in lines of about so many characters, broken at spaces and after _.

    Parameters
    ----------
    text : str
    width : int, default=36

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
    return "\n".join(map(str.rstrip, lines))
