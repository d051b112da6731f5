"""What of a source becomes part of a store, in which words it is told, and what is refused."""

import csv
import gzip
import io
import tarfile
import warnings
import zipfile

import pytest

from skcgcnn import CrystalGraphTransformer
from skcgcnn.crystals import TOO_PACKED
from skcgcnn.exceptions import DataError
from skcgcnn.stores import featurize, open_store


@pytest.fixture
def make(tmp_path):
    """Return what makes a store of a source: the store, and what was warned of."""

    def run(source, **options):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            featurize(source, tmp_path / "store", overwrite=True, **options)
        own = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
        return open_store(tmp_path / "store"), own

    return run


@pytest.fixture
def text(nacl):
    return nacl.to(fmt="cif")


def table(path, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def failed(store):
    with (store.folder / "failures.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def tarred(path, members):
    with tarfile.open(path, "w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content.encode()))
    return path


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_a_table_in_an_archive_is_not_read(pack, make, text, tmp_path):
    archive = pack(
        tmp_path / f"a.{pack.__name__[:3]}",
        {"x/id_prop.csv": "a,1", "x/a.cif": text, "x/b.CIF": text, "my_id_prop.csv": ""},
    )
    store, said = make(archive)
    (told,) = said
    assert told == (
        f"{archive}: x/id_prop.csv in the archive is not read; unpack the archive, and make the "
        "store of its folder"
    )
    assert store.graphs.ids.tolist() == ["x/a", "x/b"]


@pytest.mark.parametrize(
    "name",
    ["groups.csv", "atom_init.json", "id_prop.xlsx", "x.tar.gz", "Y.ZIP", "b.cif.txt", "b.CIF~"],
)
@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_what_belongs_to_crystals_in_an_archive_is_not_left_out_silently(
    pack, name, make, text, tmp_path
):
    archive = pack(
        tmp_path / f"a.{pack.__name__[:3]}",
        {"a.cif": text, f"x/{name}": "", f"y/{name}": "", f"my{name}.txt": ""},
    )
    store, (told,) = make(archive)
    assert told.startswith(f"{archive}: x/{name} in the archive is not read; unpack the archive")
    assert store.graphs.ids.tolist() == ["a"]


@pytest.mark.filterwarnings("error")
def test_archives_that_hold_nothing(tmp_path):
    (tmp_path / "none.tar").touch()
    (tmp_path / "zeros.tar").write_bytes(bytes(10_240))
    zipped(tmp_path / "none.zip", {})
    zipped(tmp_path / "others.zip", {"readme": "no crystal"})
    for name, message in {
        "none.tar": "cannot be read (empty file)",
        "zeros.tar": "holds no crystal",
        "none.zip": "holds no crystal",
        "others.zip": "holds no crystal",
    }.items():
        with pytest.raises(DataError) as error:
            featurize(tmp_path / name, tmp_path / "store")
        assert str(error.value) == f"{tmp_path / name}: {message}"


def test_a_zip_archive_with_a_long_comment(make, text, tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.cif", text)
        file.comment = b"x" * 65_535
    store, _ = make(archive)
    assert store.graphs.ids.tolist() == ["a"]


def changed(path, **fields):
    """Change fields in the headers of the first member of a zip archive, at both places."""
    content = bytearray(path.read_bytes())
    for magic, places in (
        (b"PK\3\4", {"flag": 6, "size": 22}),
        (b"PK\1\2", {"flag": 8, "size": 24}),
    ):
        for name, value in fields.items():
            start, length = content.index(magic) + places[name], {"flag": 2, "size": 4}[name]
            content[start : start + length] = value.to_bytes(length, "little")
    path.write_bytes(content)
    return path


def test_a_zip_archive_with_members_that_are_locked(make, text, tmp_path):
    archive = changed(zipped(tmp_path / "a.zip", {"b.cif": text, "a.cif": text}), flag=1)
    store, said = make(archive)
    assert store.graphs.ids.tolist() == ["a"]
    ((name, why),) = failed(store)
    assert name == f"{archive}: b.cif"
    assert why.startswith("cannot be unpacked (File ")
    assert why.endswith("is encrypted, password required for extraction)")
    (told,) = said
    assert told == (
        f"1 of 2 crystals could not become graphs and are left out; {store.folder / 'failures.csv'}"
        " lists them"
    )
    # What is no crystal is not opened.
    archive = changed(zipped(tmp_path / "b.zip", {"readme": "locked", "a.cif": text}), flag=1)
    store, said = make(archive)
    assert (store.graphs.ids.tolist(), said) == (["a"], [])


@pytest.mark.parametrize(("size", "why"), [(0, TOO_PACKED), (1, "is larger than 100 MB")])
def test_a_crystal_of_a_zip_archive_may_have_100_mb(size, why, make, text, tmp_path):
    archive = zipped(tmp_path / "a.zip", {"b.cif": "no", "a.cif": text})
    store, _ = make(changed(archive, size=100_000_000 + size))
    assert failed(store) == [[f"{archive}: b.cif", why]]


def test_a_crystal_of_a_tar_archive_has_no_more_than_100_mb(make, text, tmp_path):
    archive = tarred(tmp_path / "a.tar", {"a.cif": text})
    first = archive.read_bytes().rstrip(b"\0")
    info = tarfile.TarInfo("b.cif")
    info.size = 100_000_001
    with archive.open("wb") as file:
        file.write(first + bytes(-len(first) % 512) + info.tobuf())
        file.truncate(file.tell() + 100_000_256 + 1024)  # a hole
    store, _ = make(archive)
    assert failed(store) == [[f"{archive}: b.cif", "is larger than 100 MB"]]


@pytest.mark.parametrize("packed", [True, False])
def test_how_large_a_crystal_may_be(packed, make, text, tmp_path):
    own, larger = text.encode(), f"{text} ".encode()
    ending = ".cif.gz" if packed else ".cif"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name, content in (("a", own), ("b", larger)):
            file.writestr(f"{name}{ending}", gzip.compress(content) if packed else content)
    store, _ = make(tmp_path / "a.zip", transformer=CrystalGraphTransformer(max_bytes=len(own)))
    why = f"is larger than {len(own) / 1e6:g} MB"
    assert failed(store) == [[f"{tmp_path / 'a.zip'}: b{ending}", why]]
