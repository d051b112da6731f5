"""The README is short, and says the same in Chinese; its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "README.zh.md"]
# Where files of the repository are: a package index shows the README, too.
HOME = "https://github.com/skcgcnn/skcgcnn/"
RAW = "https://raw.githubusercontent.com/skcgcnn/skcgcnn/main/"


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text):
    """Return the code, without comments and what is aligned with them."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    bare = re.compile(r"\s*(?:#.*|可选.*|optional.*|cif_id,value .*)?$", re.MULTILINE)
    return [(language, bare.sub("", code)) for language, code in found]


@pytest.mark.parametrize("name", PAGES)
def test_it_is_short(name):
    assert len(read(name).splitlines()) < 160


def test_the_twins_have_the_same_sections_code_figures_and_links():
    english, chinese = map(read, PAGES)
    levels = [re.findall(r"^#+(?= )", text, re.MULTILINE) for text in (english, chinese)]
    assert levels[0] == levels[1]
    assert blocks(english) == blocks(chinese)
    for pattern in (r"!\[.*?\]\((.*?)\)", r"(?<!!)\[(?!English|中文).*?\]\((.*?)\)"):
        assert re.findall(pattern, english) == re.findall(pattern, chinese)
    points = [re.findall(r"^(\d\. |- )", text, re.MULTILINE) for text in (english, chinese)]
    assert points[0] == points[1]


def test_the_twins_have_the_same_numbers():
    found = []
    for name in PAGES:
        prose = re.sub(r"```.*?```|\]\(.*?\)", "", read(name), flags=re.DOTALL)
        # Single digits are words in English.
        found.append(sorted(re.findall(r"\d[\d,.]*\d", prose)))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", PAGES)
def test_links_are_absolute_and_lead_to_files(name):
    for target in re.findall(r"\]\((.*?)\)", read(name)):
        assert target.startswith("https://"), target
        for start in (f"{HOME}blob/main/", f"{HOME}tree/main/", RAW):
            if target.startswith(start):
                assert (ROOT / target.removeprefix(start)).exists(), target


@pytest.mark.parametrize("name", PAGES)
def test_there_are_two_commands_for_a_fresh_machine(name):
    commands = [line for line in read(name).splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert "skcgcnn train vacancy_data" in commands[0]
    assert commands[1].endswith("&& pytest -n 2")
