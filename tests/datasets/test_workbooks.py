"""Workbooks and tables beside each other: what no program has computed, and what is not read."""

import re
import warnings
import zipfile

import pytest

from skcgcnn.datasets import load_id_prop
from skcgcnn.exceptions import DataError

STRICT = b"http://purl.oclc.org/ooxml/"
openpyxl = pytest.importorskip("openpyxl")


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.cif").touch()
    return tmp_path


def save(folder, *rows, others=()):
    """Write a workbook as programs do, without the values of formulas."""
    book = openpyxl.Workbook()
    for row in (("id", "energy", "gap"), *rows):
        book.active.append(row)
    if others:
        book.create_sheet("notes").append(others)
    book.save(folder / "id_prop.xlsx")


def compute(path, value):
    """Give every formula of a workbook a value."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b"<v></v>", value).replace(b"<v />", value))


def test_formulas_without_values_are_not_missing_values(folder):
    save(folder, ("a", 1, 2), ("b", "=1+1", 3))
    with pytest.raises(DataError, match=r"xlsx: the value of the formula in cell B3 is not in"):
        load_id_prop(folder)


def test_values_that_no_spreadsheet_program_computed(folder):
    save(folder, ("a", 1, 2), ("b", "=1+1", 3))
    compute(folder / "id_prop.xlsx", b"<v>0</v>")  # as XlsxWriter does
    with pytest.warns(UserWarning, match="formulas that no .* computed, the first in cell B3"):
        assert load_id_prop(folder, target="energy").target.tolist() == [1, 0]


def test_formulas_elsewhere_say_nothing(folder):
    save(folder, ("a", 1, 2), ("b", 4, None), others=["=1+1"])
    with pytest.warns(UserWarning, match="read with its first sheet, 'Sheet', alone$"):
        assert load_id_prop(folder, target="energy").target.tolist() == [1, 4]


def test_a_first_sheet_that_is_hidden_is_told(folder):
    save(folder, ("a", 1, 2), ("b", 4, None), others=["more"])
    book = openpyxl.load_workbook(folder / "id_prop.xlsx")
    book.worksheets[0].sheet_state = "hidden"
    book.active = 1
    book.save(folder / "id_prop.xlsx")
    with pytest.warns(UserWarning, match=r"its first sheet, 'Sheet' \(which is hidden\), alone$"):
        assert load_id_prop(folder, target="energy").target.tolist() == [1, 4]


def test_a_workbook_of_strict_open_xml(folder):
    save(folder, ("a", 1, 2), ("b", 4, None))
    usual = b"http://schemas.openxmlformats.org/"
    with zipfile.ZipFile(folder / "id_prop.xlsx") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "id_prop.xlsx", "w") as archive:
        for name, content in members.items():
            strict = content.replace(usual + b"spreadsheetml/2006/", STRICT + b"spreadsheetml/")
            strict = strict.replace(usual + b"officeDocument/2006/", STRICT + b"officeDocument/")
            archive.writestr(name, strict)
    with pytest.raises(DataError, match="has no sheet that can be read; save it as 'Excel work"):
        load_id_prop(folder)


def test_a_first_sheet_that_is_empty(folder):
    book = openpyxl.Workbook()
    book.create_sheet("data").append(["a", 1])
    book.save(folder / "id_prop.xlsx")
    with pytest.raises(DataError, match=r"its first sheet, 'Sheet', is empty; move the table ther"):
        load_id_prop(folder)


def test_one_of_two_tables_is_left_out_with_a_remark(folder):
    save(folder, ("a", 1, 2), ("b", 4, 5))
    (folder / "id_prop.csv").write_text("a,7\nb,8\n")
    with pytest.warns(UserWarning, match=r"read with id_prop\.xlsx beside it left out"):
        assert load_id_prop(folder).target.tolist() == [7, 8]


@pytest.mark.parametrize(
    "name",
    [
        *("groups.xlsx", "Groups.csv", "groups.tsv", "groups.csv.gz"),
        *("groups.parquet", "groups.json", "groups.txt", "groups.ods"),
    ],
)
def test_groups_under_another_name_are_not_left_out(folder, name):
    (folder / "id_prop.csv").write_text("a,7\nb,8\n")
    (folder / name).touch()
    with pytest.raises(DataError, match=f"{name}: groups are read from groups.csv"):
        load_id_prop(folder)


def test_cells_of_errors_are_told(folder):
    save(folder, ("a", 1.5, "#DIV/0!"), ("b", 2.5, 0.5))
    with pytest.warns(UserWarning, match="read with 1 cells of errors, such as #DIV/0!, as miss"):
        values = load_id_prop(folder).target
    assert values[:, 0].tolist() == [1.5, 2.5]
    assert values[1, 1] == 0.5
    assert values[0, 1] != values[0, 1]


@pytest.mark.parametrize("changed", [(8, 1), (10, 99)])
def test_a_member_that_is_locked_or_packed_otherwise(folder, changed):
    save(folder, ("a", 1.5, 2), ("b", 4, 5))
    place, value = changed
    content = bytearray((folder / "id_prop.xlsx").read_bytes())
    content[content.index(b"PK\1\2") + place] = value
    (folder / "id_prop.xlsx").write_bytes(content)
    with pytest.raises(DataError, match=r"id_prop\.xlsx: cannot be read"):
        load_id_prop(folder)


def test_raised_digits_are_told(folder):
    """Of a table from a paper, the mark of a footnote is a digit behind a number."""
    from openpyxl.cell.rich_text import CellRichText, TextBlock
    from openpyxl.cell.text import InlineFont

    lowered = CellRichText("1", TextBlock(InlineFont(vertAlign="subscript"), "2"))
    save(folder, ("a", 1.5, 2), ("b", 4, lowered))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_id_prop(folder, target="energy").target.tolist() == [1.5, 4]
    raised = CellRichText("1.5", TextBlock(InlineFont(vertAlign="superscript"), "2"))
    save(folder, ("a", raised, 2), ("b", 4, 5))
    told = "read with raised digits as others, so that 1.5² is 1.52"
    with pytest.warns(UserWarning, match=re.escape(told)):
        load_id_prop(folder)


@pytest.mark.parametrize(("cells", "is_told"), [("B2:B3", True), ("B4:C4", False)])
def test_merged_cells_are_told(folder, cells, is_told):
    """Of the crystals that share a merged cell, the first has its value."""
    save(folder, ("a", 1.5, 2), ("b", None, 5))
    book = openpyxl.load_workbook(folder / "id_prop.xlsx")
    book.active.merge_cells(cells)
    book.save(folder / "id_prop.xlsx")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_id_prop(folder)
    assert is_told == any("merged cells, of which the first" in str(one.message) for one in caught)


@pytest.mark.parametrize("what", ["row", "column"])
def test_hidden_rows_and_columns_are_told(folder, what):
    """A filter hides them from whoever looks at the table; they are read as the others."""
    save(folder, ("a", 1.5, 2), ("b", 4, 5))
    book = openpyxl.load_workbook(folder / "id_prop.xlsx")
    sheet = book.active
    # Those that are empty say nothing.
    sheet.row_dimensions[9].hidden = sheet.column_dimensions["H"].hidden = True
    book.save(folder / "id_prop.xlsx")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*hidden")
        load_id_prop(folder)
    hidden = sheet.row_dimensions[3] if what == "row" else sheet.column_dimensions["C"]
    hidden.hidden = True
    book.save(folder / "id_prop.xlsx")
    with pytest.warns(UserWarning, match="read with hidden rows or columns as the others"):
        assert load_id_prop(folder).target.shape == (2, 2)
