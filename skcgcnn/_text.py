"""Names that come from files of others, as they can be shown: they hold whatever they hold."""


def for_figures(name: object) -> str:
    r"""Return a name as a label of matplotlib, which takes what is between dollars for mathtext.

    Parameters
    ----------
    name : object

    Returns
    -------
    str

    Examples
    --------
    >>> for_figures(r"$\frac{a}$")
    '\\$\\frac{a}\\$'
    """
    return str(name).replace("$", r"\$")


def for_terminals(text: str) -> str:
    r"""Return a text whose characters do nothing but being shown; lines and tabulators stay.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> for_terminals("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
