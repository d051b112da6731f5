"""CIF texts that went through something: what a reader of files from strangers meets."""

import random

__all__ = ["mutate"]


def mutate(text, seed):
    """Return the text with one to four things done to it that files suffer."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 4)):
        text = rng.choice(MUTATIONS)(text, rng)
    return text


def _lines(change):
    def mutation(text, rng):
        lines = text.splitlines(keepends=True)
        if lines:
            change(lines, rng)
        return "".join(lines)

    return mutation


@_lines
def _cut_line(lines, rng):
    del lines[rng.randrange(len(lines))]


@_lines
def _double_line(lines, rng):
    lines.insert(rng.randrange(len(lines)), rng.choice(lines))


@_lines
def _swap_lines(lines, rng):
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]


@_lines
def _change_word(lines, rng):
    i = rng.randrange(len(lines))
    words = lines[i].split()
    if words:
        words[rng.randrange(len(words))] = rng.choice(WORDS)
        lines[i] = " ".join(words) + "\n"


def _change_digit(text, rng):
    digits = [i for i, character in enumerate(text) if character.isdigit()]
    if not digits:
        return text
    i = rng.choice(digits)
    return (
        text[:i] + rng.choice([str(rng.randrange(10)), "", ".", "-", "e9", "(3)"]) + text[i + 1 :]
    )


def _random_characters(text, rng):
    i = rng.randrange(len(text) + 1)
    junk = "".join(chr(rng.choice([*range(32, 127), 0, 9, 10, 233, 0x4E00])) for _ in range(8))
    return text[:i] + junk + text[i:]


def _truncate(text, rng):
    return text[: rng.randrange(len(text) + 1)]


def _two_blocks(text, rng):
    return text + text.replace("data_", "data_second", 1) if rng.random() < 0.5 else text


WORDS = [
    "?", ".", "0", "-1", "1e9", "1e-9", "nan", "inf", "0.3333", "Xx", "D", "OH", "Fe3+", "Q1",
    "'x y'", "x,y,z", "-x,-y,1/2+z", "loop_", "data_", "_cell_length_a", "180", "1.0(2)", "2", ";",
]  # fmt: skip
MUTATIONS = [
    _cut_line,
    _double_line,
    _swap_lines,
    _change_word,
    _change_digit,
    _random_characters,
    _truncate,
    _two_blocks,
]
