"""Archives that claim what is not so, or are damaged: an error at once, and nothing is lost."""

import bz2
import gc
import gzip
import io
import json
import lzma
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from hostile import run_bounded

from skcgcnn.exceptions import DataError, StructureError
from skcgcnn.stores import featurize, open_store
from skcgcnn.stores._archives import tar_items, zip_items
from skcgcnn.stores._items import Item, PackedCif, bytes_in_memory, open_item

READ = """
from skcgcnn.stores import featurize
for path in sys.argv[1:]:
    try:
        featurize(path, path + ".store")
    except DataError as error:
        print(error)
    else:
        print(f"{path} was read")
"""


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(content):
    return content + b"\0" * (-len(content) % 512)


def pax(*records):
    # A record begins with its own length, here of two digits.
    content = "".join(f"{len(record) + 4} {record}\n" for record in records).encode()
    return header("pax", len(content), tarfile.XHDTYPE) + padded(content) + header("a.cif", 10)


def _claims_memory():
    """Return an archive of xz whose header asks for 4 GiB."""
    content = bytearray(lzma.compress(header("a.cif", 0), lzma.FORMAT_XZ))
    content[content.index(b"\x21\x01") + 2] = 40
    end = 12 + 4 * content[12]  # of the header of the block, before its checksum
    content[end : end + 4] = zlib.crc32(content[12:end]).to_bytes(4, "little")
    return bytes(content)


# A megabyte of zeros takes a kilobyte, and a header of a gigabyte a megabyte.
GIGABYTE = 1_000 * gzip.compress(b"\0" * 10**6)
CLAIMS = {
    "a crystal of 1 TiB": (header("a.cif", 2**40), "it is truncated, or"),
    "a file of 1 TiB": (header("readme", 2**40), "it is truncated, or"),
    "a file of 19 MB": (header("readme", 19_000_000), "unexpected end of data"),
    "below 0": (header("a.cif", -(2**40)), "a header has a size of -1,099"),
    "itself": (header("a.cif", 0) + pax("size=-2048"), "a size below 0"),
    "a long name": (
        gzip.compress(header("x", 10**9, tarfile.GNUTYPE_LONGNAME)) + GIGABYTE,
        "a header has a size of 1,000,000,000 bytes",
    ),
    "sparse": (header("a.cif", 0, tarfile.GNUTYPE_SPARSE) + b"\1" * 2000, "sparse files"),
    "sparse, new": (pax("GNU.sparse.major=1", "GNU.sparse.minor=0"), "sparse files"),
    "a chain of long names": (
        (header("x", 5, tarfile.GNUTYPE_LONGNAME) + padded(b"b.cif")) * 5_000,
        "too many headers",
    ),
    "a chain of properties": (pax("path=abc.cif")[:1024] * 5_000, "too many headers"),
    "memory to unpack": (_claims_memory(), "not enough memory"),
    "noise": (b"\1" * 5_000, "cannot be read"),
}


@pytest.mark.slow
def test_claims_of_archives_take_no_time_and_no_memory(tmp_path):
    paths = [tmp_path / f"{number}.tar" for number in range(len(CLAIMS))]
    for path, (content, _) in zip(paths, CLAIMS.values(), strict=True):
        path.write_bytes(content)
    lines = run_bounded(READ, *paths, megabytes=400).splitlines()
    for path, line, (_, message) in zip(paths, lines, CLAIMS.values(), strict=True):
        assert line.startswith(f"{path}: cannot be read (")
        assert message in line


@pytest.mark.slow
def test_members_take_no_more_memory_than_they_claim_and_are(cifs, tmp_path):
    sizes = {"true": 40_000_000, "false": 400_000_000, "bzip2": 10}
    for name, size in sizes.items():
        kind = zipfile.ZIP_BZIP2 if name == "bzip2" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", kind, compresslevel=1) as file:
            file.write(cifs[0], "a.cif")
            file.writestr("b.cif", b"\0" * size)
    path = tmp_path / "false.zip"
    claim = sizes["false"].to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(claim, (1_000).to_bytes(4, "little")))
    paths = [tmp_path / f"{name}.zip" for name in ("true", "false")]
    assert run_bounded(READ, *paths, megabytes=280).count("was read") == 2
    with pytest.raises(DataError, match="packed by bzip2 or LZMA; pack the archive anew"):
        featurize(tmp_path / "bzip2.zip", tmp_path / "bzip2.store")


def test_members_that_unpack_to_far_more_than_their_size(cifs, tmp_path):
    """Such as blanks, which would be searched for minutes."""
    text = b"data_x\n_cell_length_a 4\n" + b" " * 6_000_000
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(cifs[0], "a.cif")
        file.writestr("b.cif", text)
        file.writestr("c.cif.gz", gzip.compress(text))
    member = header("b.cif", len(text)) + padded(text)
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.add(cifs[0], "a.cif")
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar.bz2").write_bytes(bz2.compress(member + whole))
    for name, n_refused in (("a.zip", 2), ("a.tar.bz2", 1)):
        store = tmp_path / f"store of {name}"
        with pytest.warns(UserWarning, match=f"{n_refused} of {n_refused + 1} crystals could not"):
            assert featurize(tmp_path / name, store).n_crystals == 1
        told = (store / "failures.csv").read_text()
        assert told.count("unpacks to over 300 times its size: unpack it") == n_refused


def test_crystals_that_differ_in_few_letters_pack_to_little(cifs, tmp_path):
    text = Path(cifs[0]).read_bytes() + 20_000 * b"# a comment of a program\n"
    with tarfile.open(tmp_path / "a.tar.bz2", "w:bz2") as file:
        for n in range(12):
            member = tarfile.TarInfo(f"{n}.cif")
            member.size = len(text)
            file.addfile(member, io.BytesIO(text))
    assert (tmp_path / "a.tar.bz2").stat().st_size < 12 * len(text) / 300
    assert featurize(tmp_path / "a.tar.bz2", tmp_path / "store").n_crystals == 12


def properties(content):
    return header("pax", len(content), tarfile.XHDTYPE) + padded(content)


# A gigabyte of zeros is a kilobyte of bzip2.
ZEROS = 10 * bz2.compress(b"\0" * 10**7)
PROPERTIES = "".join(f"11 {k:06x}=\n" for k in range(50_000)).encode()
LONG = {
    "a chain of many properties": (
        properties(PROPERTIES) * 9,
        "too many headers",
    ),
    # Of a megabyte, which a kB of gzip holds, tarfile would make 250 GB, or look for hours.
    "properties that overlap": (properties(b"2 " * 5_000 + b"="), "properties of a member are dam"),
    "a name of zeros": (properties(b"10 pat\0=x\n"), "properties of a member are damaged"),
    "a path of zeros": (properties(b"11 path=\0x\n"), "properties of a member are damaged"),
    "a number": (properties(b"5010 comment=" + b"1" * 4_996 + b"\n"), "properties of a member are"),
    "a map of a sparse file": (pax("GNU.sparse.size=90000000", "GNU.sparse.map=0,1"), "sparse"),
    "an older sparse file": (pax("GNU.sparse.size=90000000", "GNU.sparse.name=a"), "sparse"),
    "zeros to skip": (bz2.compress(header("readme", 3 * 10**8)) + ZEROS, "2,000 times its size"),
    "zeros at the end": (bz2.compress(bytes(1024)) + 2 * ZEROS, "2,000 times its size"),
    "a name": (
        header("x", 5_000, tarfile.GNUTYPE_LONGNAME) + padded(b"a" * 5_000),
        "a name of 5,0",
    ),
    "no name": (header("", 0), "a member has no name"),
    "headers for all": (
        b"".join(
            header("pax", 9, tarfile.XGLTYPE) + padded(f"9 k{n:03d}=v\n".encode()) + header("b", 0)
            for n in range(200)
        ),
        "too many headers that hold for all",
    ),
}


@pytest.mark.parametrize("kind", LONG)
def test_what_each_member_has_is_bounded(tmp_path, kind):
    content, cause = LONG[kind]
    more = b"" if content.startswith(b"BZh") else header("a.cif", 0) + bytes(1024)
    (tmp_path / "a.tar").write_bytes(content + more)
    with pytest.raises(DataError, match=cause):
        list(tar_items(tmp_path / "a.tar"))


def test_members_of_a_zip_archive_that_overlap(cifs, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.write(cifs[0], "a.cif")
    content = path.read_bytes()
    begin, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    tail = bytearray(content[end:])
    tail[8:16] = (3).to_bytes(2, "little") * 2 + (3 * (end - begin)).to_bytes(4, "little")
    path.write_bytes(content[:begin] + 3 * content[begin:end] + tail)
    with pytest.raises(DataError, match="its members overlap"):
        zip_items(path)


def test_what_could_not_be_read_is_not_kept_in_memory():
    packed = PackedCif(b"x" * 5_000_000, is_gzip=False)  # no CIF
    gc.collect()
    gc.disable()  # else it depends on when garbage is collected
    try:
        tracemalloc.start()
        kept = [open_item(Item(packed, "a", "b", {}), 10**8) for _ in range(3)]
        assert isinstance(kept[0].crystal, StructureError)
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()
        gc.enable()


def test_names_and_values_take_memory_too():
    item = Item(PackedCif(b"a" * 10, is_gzip=False), "b" * 100, "c" * 1_000, {"d": "e" * 10_000})
    assert bytes_in_memory(item) > 11_000


@pytest.fixture
def archive(cifs, tmp_path):
    path = tmp_path / "cifs.tar"
    with tarfile.open(path, "w") as file:
        for number, cif in enumerate(cifs[:6]):
            file.add(cif, f"{number}.cif")
    return path


def starts(archive):
    with tarfile.open(archive) as file:
        return [member.offset for member in file]


def test_a_damaged_header_is_not_the_end(archive, tmp_path):
    content, place = bytearray(archive.read_bytes()), starts(archive)[3]
    content[place + 5] ^= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match="a header is damaged: bad checksum"):
        featurize(archive, tmp_path / "store")
    archive.write_bytes(content[: place + 100])
    with pytest.raises(DataError, match="a header is damaged: truncated"):
        featurize(archive, tmp_path / "other")


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_crystal_whose_name_was_damaged_is_not_left_out(kind, cifs, tmp_path):
    name = f"{'a' * 120}.cif"
    with tarfile.open(tmp_path / "cifs.tar", "w", format=kind) as file:
        file.add(cifs[0], name)
    content = bytearray((tmp_path / "cifs.tar").read_bytes())
    assert name.encode() in content[512:1024]
    content[512:1024] = bytes(512)  # as where a sector of a disk is lost
    (tmp_path / "cifs.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"properties of a member are|a member has no name"):
        list(tar_items(tmp_path / "cifs.tar"))


def test_long_names_of_7_zip_and_damaged_ones(cifs, tmp_path):
    name = f"{'ä' * 120}.cif"
    cif = Path(cifs[0]).read_bytes()
    long = name.encode() + b"\0"
    # 7-Zip writes another name than its begin into the header of the member.
    member = header("@PathCut/_pc_crc32/29CC9BE1", len(cif)) + padded(cif)
    begin = header("././@LongLink", len(long), tarfile.GNUTYPE_LONGNAME)
    (tmp_path / "cifs.tar").write_bytes(begin + padded(long) + member + bytes(1024))
    assert [item.id for item in tar_items(tmp_path / "cifs.tar")] == [name[:-4]]
    damaged = long[:200] + b"\0" + long[201:]
    (tmp_path / "cifs.tar").write_bytes(begin + padded(damaged) + member + bytes(1024))
    with pytest.raises(DataError, match="the name of a member is damaged"):
        list(tar_items(tmp_path / "cifs.tar"))


def test_incremental_archives_of_gnu_tar_have_times_beside_the_name(cifs, tmp_path):
    cif = Path(cifs[0]).read_bytes()
    with tarfile.open(tmp_path / "cifs.tar", "w", format=tarfile.GNU_FORMAT) as file:
        file.add(cifs[0], "folder/a.cif")
    content = bytearray((tmp_path / "cifs.tar").read_bytes())
    content[345:369] = b"15303155632\0" * 2
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    (tmp_path / "cifs.tar").write_bytes(content)
    (item,) = tar_items(tmp_path / "cifs.tar")
    assert (item.id, item.source.content) == ("folder/a", cif)


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_crystal_does_not_get_the_name_of_another(kind, cifs, tmp_path):
    names = [f"{letter * 120}.cif" for letter in "ab"]
    with tarfile.open(tmp_path / "cifs.tar", "w", format=kind) as file:
        for name, path in zip(names, cifs, strict=False):
            file.add(path, name)
    content = (tmp_path / "cifs.tar").read_bytes()
    begin = 1024  # after the name of the first crystal, which alone is left of it
    end = content.index(b"././@", begin)  # where the name of the second begins
    (tmp_path / "cifs.tar").write_bytes(content[:begin] + content[end:])
    with pytest.raises(DataError, match="too many headers: another is missing"):
        list(tar_items(tmp_path / "cifs.tar"))


def test_an_archive_that_ends_between_two_crystals(archive, tmp_path):
    archive.write_bytes(archive.read_bytes()[: starts(archive)[3]])
    with pytest.warns(UserWarning, match=r"cifs\.tar: has no mark at its end; perhaps it is trunc"):
        assert featurize(archive, tmp_path / "store").n_crystals == 3


def test_few_bytes_are_in_memory_at_a_time(cifs, tmp_path):
    """Shards are small where crystals take much memory: 16 MB of files are one."""
    path = tmp_path / "large.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as file:
        for number, cif in enumerate(cifs[:6]):
            content = Path(cif).read_bytes() + b"\n" + b"#" * 6_000_000
            info = tarfile.TarInfo(f"{number}.cif")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    (tmp_path / "properties.csv").write_text("id,gap\nno crystal,1\n")
    with pytest.raises(DataError, match="no name in its column"):
        featurize(path, tmp_path / "store", properties=tmp_path / "properties.csv")
    assert len(list((tmp_path / "store" / ".skcgcnn-shards").glob("*.npz"))) == 2
    assert featurize(path, tmp_path / "store").n_kept == 6
    assert open_store(tmp_path / "store").graphs.ids.tolist() == list("012345")


def test_lines_without_an_end(tmp_path, nacl):
    """Of more than 100 MB."""
    line = json.dumps(nacl.as_dict()).encode()
    million = 10**6
    with gzip.open(tmp_path / "lines.jsonl.gz", "wb", compresslevel=1) as file:
        file.write(line + b"\n")
        for _ in range(210):
            file.write(b"x" * million)
        file.write(b"\n" + line + b"\n" + b"y" * million + b"\n")
        for _ in range(101):
            file.write(b"z" * million)
    with pytest.warns(UserWarning, match="3 of 5 crystals"):
        assert featurize(tmp_path / "lines.jsonl.gz", tmp_path / "store").n_crystals == 2
    failures = (tmp_path / "store" / "failures.csv").read_text()
    assert failures.count("is larger than 100 MB") == 2
    assert "line 4" in failures


def tarred(paths, compression=""):
    file = io.BytesIO()
    gnu = {"format": tarfile.GNU_FORMAT}
    with tarfile.open(fileobj=file, mode=f"w:{compression}", **gnu) as archive:
        for path in paths:
            archive.add(path, Path(path).name)
    return file.getvalue()


def _zeroed_header(paths):
    content = bytearray(tarred(paths))
    second = 512 + len(padded(Path(paths[0]).read_bytes()))
    content[second : second + 512] = bytes(512)
    return content


def _other_digit(paths):
    """Return an archive in whose packed content a digit is another one."""
    plain = tarred(paths)
    packed = bytearray(gzip.compress(plain, 0))
    packed[packed.index(b"_cell_length_a") + len("_cell_length_a   ")] ^= 1
    return packed


@pytest.mark.parametrize(
    ("name", "damaged", "cause"),
    [
        ("a.tar", _zeroed_header, "there is data after its end"),
        ("a.tar", lambda paths: tarred(paths[:2]) + tarred(paths[2:]), "data after its end"),
        ("a.tar.gz", _other_digit, "CRC"),
        ("a.tar.xz", lambda paths: tarred(paths, "xz")[:-20], "end-of-stream"),
    ],
)
def test_an_archive_is_read_to_its_end(cifs, tmp_path, name, damaged, cause):
    (tmp_path / name).write_bytes(damaged(cifs[:4]))
    with pytest.raises(DataError, match=f"{name}: cannot be read .*{cause}"):
        featurize(tmp_path / name, tmp_path / "store")


def _zip(paths):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in paths:
            archive.write(path, Path(path).name)
    return file.getvalue()


def _other_name(paths):
    """Return an archive whose directory calls a file otherwise than its own header does."""
    content = bytearray(_zip(paths))
    content[content.rindex(b".cif") + 3] ^= 1  # .cig
    return content


def _fewer_than_said(paths):
    content = bytearray(_zip(paths))
    end = content.rindex(b"PK\x05\x06")
    content[end + 10] += 1
    return content


@pytest.mark.parametrize(
    ("damaged", "cause"),
    [
        (lambda paths: _zip(paths[:2]) + _zip(paths[2:]), "more before its first member"),
        (_other_name, "differ"),
        (_fewer_than_said, "not have as many members as it says"),
    ],
)
def test_a_zip_archive_has_the_members_that_it_says(cifs, tmp_path, damaged, cause):
    path = tmp_path / "a.zip"
    path.write_bytes(_zip(cifs[:4]))
    assert featurize(path, tmp_path / "good").n_crystals == 4
    path.write_bytes(damaged(cifs[:4]))
    with pytest.raises(DataError, match=f"a.zip: cannot be read .*{cause}"):
        featurize(path, tmp_path / "store")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_cifs_that_are_not_read_from_archives_are_failures(kind, cifs, tmp_path):
    content = Path(cifs[0]).read_bytes()
    names = ["a.cif", "b.cif.bz2", "c.mcif", "notes.txt", "._d.cif.xz"]
    archive = tmp_path / f"some.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for name in names:
                file.writestr(name, content)
    else:
        archive.write_bytes(
            b"".join(header(name, len(content)) + padded(content) for name in names) + bytes(1024)
        )
    with pytest.warns(UserWarning, match="2 of 3 crystals"):
        featurize(archive, tmp_path / "store")
    assert "is neither .cif nor .cif.gz" in (tmp_path / "store" / "failures.csv").read_text()


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("run/POSCAR", "run/POSCAR_2"),
        ("b.vasp", "c.VASP"),
        ("b.extxyz", "c.extxyz"),
        ("b.tar.zst", "c.tar.zst"),
        ("b.7z", "c.7z"),
    ],
)
def test_what_is_read_from_folders_alone_is_told_once(kind, name, more, cifs, tmp_path):
    """Folders named so, notes and files that begin with a dot are not told."""
    content = Path(cifs[0]).read_bytes()
    archive = tmp_path / f"some.{kind}"
    names = ["a.cif", "._b.vasp", "notes.json", name, more]
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for member in ("POSCAR/", *names):
                file.writestr(member, b"" if member.endswith("/") else content)
    else:
        with tarfile.open(archive, "w") as tar:
            folder = tarfile.TarInfo("POSCAR")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
            for member in names:
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    with pytest.warns(UserWarning, match=rf"\.{kind}: {name} in the archive is not read") as told:
        featurize(archive, tmp_path / "store")
    assert len(told) == 1


CELLS = """
from skcgcnn.stores import featurize
try:
    featurize(sys.argv[1], sys.argv[1] + ".store")
except DataError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begin", "more", "cause"),
    [
        ("", b"a" * 10**6, "line 2 has more than"),
        ('"', (b"a" * 9_999 + b"\n") * 100, "larger than field limit"),
    ],
)
def test_cells_without_an_end(tmp_path, begin, more, cause):
    # Members that follow each other are one text.
    head, member = (gzip.compress(each) for each in (f"path,energy\n{begin}".encode(), more))
    (tmp_path / "a.csv.gz").write_bytes(head + 300 * member)
    assert cause in run_bounded(CELLS, str(tmp_path / "a.csv.gz"), megabytes=1_000)
