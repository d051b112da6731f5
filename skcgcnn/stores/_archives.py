"""CIFs in archives, whose sizes and headers are claims until they are read."""

import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from skcgcnn._warnings import warn_caller
from skcgcnn.crystals import MAX_BYTES, READABLE, TOO_PACKED, is_too_packed, source_id
from skcgcnn.exceptions import DataError
from skcgcnn.stores._items import TOO_LARGE, Item, PackedCif, Refused

_UNREADABLE = (ValueError, OSError, EOFError, zlib.error, LZMAError)

# In bytes, of a header that holds a long name: it is read as a whole.
_MOST_HEADER = 1_000_000
# Of a name, as systems take it, and of headers for all members: each member would have them all.
_LONGEST_NAME, _MOST_FOR_ALL = 4_096, 100
# Of headers before a member, which are in memory together: its name, what it links to, and more.
_MOST_HEADERS = 8
# In bytes, of the end of a zip archive with its comment.
_LONGEST_END = 22 + (1 << 16)
# In bytes, and how many times its size, of what an archive unpacks to: gzip packs to a thousandth
# at most, bzip2 to less than a millionth, crystals that are alike to a six-hundredth.
_MUCH, _MOST_UNPACKED = 20_000_000, 2_000
_LONG_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE),
)
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ARCHIVES = (*TARS, ".zip")
_CIFS = (".cif", ".cif.gz")
# What is read beside the crystals of a folder.
_BESIDE = ("id_prop.csv", "id_prop.xlsx", "groups.csv", "atom_init.json")
# Archives in archives, also those that are not read alone.
_NESTED = (*ARCHIVES, ".tbz2", ".txz", ".tar.zst", ".tar.z", ".7z", ".rar")
# Crystals that are read from folders.
_FILES = tuple(end for end in READABLE if ".cif" not in end)
VASP_NAMES = ("poscar", "contcar")
# In names of CIFs, such as a.cif.txt and a.cif.bak.
LIKE_CIFS = (".cif", ".mcif")
# CIFs too, which are not read from archives.
_OTHER_CIFS = (".mcif", *(f".cif.{end}" for end in ("bz2", "xz", "zst", "lzma", "z")))
_OTHER = Refused("is neither .cif nor .cif.gz; unpack the archive, and make the store of its files")
# What is unpacked a piece at a time.
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DIGITS = re.compile(rb"\d{100}")
_SPARSE = "holds sparse files; pack it without --sparse"


def tar_items(path: Path) -> Iterator[Item]:
    """Yield the CIFs in an archive of tar, also packed.

    Raises
    ------
    DataError
        If it is damaged; other than tarfile, which takes a damaged header for the end.
    """
    told = set[str]()
    try:
        with path.open("rb") as opened:
            is_empty = not opened.read(tarfile.BLOCKSIZE).strip(b"\0")
        # Zeros are the end of an archive; the reader of xz would look for more in all of them.
        mode: Literal["r:", "r:*"] = "r:" if is_empty else "r:*"
        size = path.stat().st_size
        with _Archive.open(path, mode, tarinfo=_Header) as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined] # or all would be kept
                # Before what is to be skipped is unpacked.
                _check_unpacked(archive.offset, size)
                if member.isdir():
                    continue
                if not member.name:
                    raise tarfile.ReadError("a member has no name")
                if not _is_cif(member.name):
                    _warn_of_others(path, member.name, told)
                    continue
                yield _item(path, member.name, _content(archive, member, size))
            _check_end(archive, size)
    except MemoryError as error:  # of what its packing claims to need
        raise DataError(f"{path}: cannot be read (there is not enough memory)") from error
    except (tarfile.TarError, *_UNREADABLE) as error:
        why = " ".join(str(error).split())  # it may have a line for every kind of packing
        raise DataError(f"{path}: cannot be read ({why})") from error


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, size: int) -> bytes | Refused:
    """Return what a member of an archive of some size holds, if it is to be read."""
    if not member.name.lower().endswith(_CIFS):
        return _OTHER
    if not member.isfile():
        return Refused("is a link or a device, not a file")
    if member.size > MAX_BYTES:
        return TOO_LARGE
    if is_too_packed(member.size, size):
        return Refused(TOO_PACKED)
    file = archive.extractfile(member)
    return b"" if file is None else file.read()


def _check_unpacked(n_bytes: int, size: int) -> None:
    """Refuse an archive of some kB that would be unpacked for hours."""
    if n_bytes > max(_MUCH, _MOST_UNPACKED * size):
        raise tarfile.ReadError(
            f"it is truncated, or unpacks to over {_MOST_UNPACKED:,} times its size: unpack it, if "
            "it holds crystals"
        )


def _check_end(archive: tarfile.TarFile, size: int) -> None:
    """Read an archive to its end: what is packed has its checksum there, and nothing may follow."""
    rest: Any = archive.fileobj
    while some := rest.read(_MOST_HEADER):
        _check_unpacked(rest.tell(), size)
        if some.strip(b"\0"):
            raise tarfile.ReadError(
                "there is data after its end: it is damaged, or several archives in one file. "
                "Unpack it with tar --ignore-zeros, and see what is there"
            )


class _Archive(tarfile.TarFile):
    """An archive, and the kinds of headers since the last member."""

    kinds: tuple[bytes, ...] = ()


class _Header(tarfile.TarInfo):
    """A header of a member, which claims no more than can be."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return a header of these bytes; of TarInfo, for subclasses."""
        member = super().frombuf(buf, encoding, errors)
        # Where others have the begin of a name, GNU tar has times, which tarfile takes for it.
        if buf[257:265] == tarfile.GNU_MAGIC and member.isreg():
            member.name = buf[:100].partition(b"\0")[0].decode(encoding, errors)
        return member

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """Return the next header; tarfile calls this."""
        begun = archive.offset > 0
        try:
            member = super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            if begun:
                warn_caller(f"{archive.name!s}: has no mark at its end; perhaps it is truncated")
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"a header is damaged: {error}") from error
        if member.size < 0:
            raise tarfile.ReadError("a member has a size below 0")
        if len(member.name) > _LONGEST_NAME:
            raise tarfile.ReadError(f"a member has a name of {len(member.name):,} letters")
        if len(archive.pax_headers) > _MOST_FOR_ALL:
            raise tarfile.ReadError("it has too many headers that hold for all members")
        return member

    def _proc_member(self, archive: Any) -> Any:
        """Read what belongs to a header; of TarInfo, for subclasses."""
        if self.size < 0 or (self.size > _MOST_HEADER and self.type in _LONG_HEADERS):
            raise tarfile.ReadError(f"a header has a size of {self.size:,} bytes")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError(_SPARSE)
        known, archive.kinds = archive.kinds, ()
        if self.type in _LONG_HEADERS:
            archive.kinds = (*known, self.type)
            # A second name is that of the next member: tarfile would give its content the first.
            if self.type in known and self.type != tarfile.XGLTYPE:
                raise tarfile.ReadError("a member has too many headers: another is missing")
        if len(archive.kinds) > _MOST_HEADERS:
            raise tarfile.ReadError("a member has too many headers")
        return super()._proc_member(archive)  # type: ignore[misc]

    def _proc_gnulong(self, archive: Any) -> Any:
        """Read a long name, which tarfile would end at a zero; of TarInfo, for subclasses."""
        content = archive.fileobj.read(self._block(self.size))  # type: ignore[attr-defined]
        if b"\0" in content[: self.size].rstrip(b"\0"):
            raise tarfile.ReadError("the name of a member is damaged")
        archive.fileobj = _Again(archive, content)
        return super()._proc_gnulong(archive)  # type: ignore[misc]

    def _proc_pax(self, archive: Any) -> Any:
        """Read properties of members, once they were looked at; of TarInfo, for subclasses."""
        content = archive.fileobj.read(self._block(self.size))  # type: ignore[attr-defined]
        _check_records(content[: self.size], self.size)
        archive.fileobj = _Again(archive, content)
        return super()._proc_pax(archive)  # type: ignore[misc]


class _Again:
    """What was read of an archive, to be read again: what is packed goes back from its begin."""

    def __init__(self, archive: Any, content: bytes) -> None:
        self.archive, self.file, self.content = archive, archive.fileobj, content

    def read(self, _: int) -> bytes:
        self.archive.fileobj = self.file
        return self.content


def _check_records(content: bytes, size: int) -> None:
    """Refuse properties of members, each with its length before it, that are not so.

    tarfile leaves out what it does not understand, such as the name of a crystal, and some versions
    keep records that overlap, or look for hours for a number in many digits.
    """
    begin = 0
    while begin < size:
        length = content[begin : begin + 8].partition(b" ")[0]
        record = content[begin : begin + int(length)] if length.isdigit() else b""
        name, equals, _ = record[len(length) + 1 :].partition(b"=")
        # Of other values, such as attributes of files, bytes of zero are a part.
        has_zero = b"\0" in (record if name == b"path" else name)
        if has_zero or not (name and equals and record.endswith(b"\n")):
            raise tarfile.ReadError("properties of a member are damaged")
        if name.startswith(b"GNU.sparse."):  # a kB of these would be a crystal of 100 MB
            raise tarfile.ReadError(_SPARSE)
        begin += len(record)
    if begin > size or _DIGITS.search(content):
        raise tarfile.ReadError("properties of a member are damaged")


def zip_items(path: Path) -> tuple[Iterator[Item], int]:
    """Return the CIFs in a zip archive, and how many they are.

    Returns
    -------
    items : iterator of Item
    n_crystals : int

    Raises
    ------
    DataError
        If it is not such an archive.
    """
    try:
        # Opened once: the directory of many members takes much memory.
        archive = zipfile.ZipFile(path)
        _check_directory(path, archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, *_UNREADABLE) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    members = [one for one in archive.infolist() if _is_cif(one.filename)]
    told = set[str]()
    for one in archive.infolist():
        if not one.is_dir() and not _is_cif(one.filename):
            _warn_of_others(path, one.filename, told)
    return _zip_members(path, archive, members), len(members)


def _check_directory(path: Path, archive: zipfile.ZipFile) -> None:
    """Compare what a zip archive says of its members at its end with what is there."""
    members = archive.infolist()
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LONGEST_END))
        end = file.read()
    count = end[end.rfind(b"PK\5\6") :][10:12]
    if count != b"\xff\xff" and int.from_bytes(count, "little") != len(members):
        raise zipfile.BadZipFile("its directory does not have as many members as it says")
    if members and min(member.header_offset for member in members) > 0:
        raise zipfile.BadZipFile("there is more before its first member, such as another archive")
    # A small archive would hold a large file any number of times; newer Pythons look, too.
    places = sorted((member.header_offset, member.compress_size) for member in members)
    if any(begin + size > other for (begin, size), (other, _) in pairwise(places)):
        raise zipfile.BadZipFile("its members overlap")
    for member in members:
        # Opening compares the two names of a member. Those that are locked or packed otherwise are
        # not needed, where they are no CIFs.
        with suppress(NotImplementedError, RuntimeError):
            if not _is_cif(member.filename):
                archive.open(member).close()


def _zip_members(
    path: Path, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]
) -> Iterator[Item]:
    with archive:
        for member in members:
            if not member.filename.lower().endswith(_CIFS):
                yield _item(path, member.filename, _OTHER)
                continue
            if member.file_size > MAX_BYTES:
                yield _item(path, member.filename, TOO_LARGE)
                continue
            if is_too_packed(member.file_size, member.compress_size):
                yield _item(path, member.filename, Refused(TOO_PACKED))
                continue
            if member.compress_type not in _BOUNDED:
                why = "is packed by bzip2 or LZMA; pack the archive anew, as zip does by default"
                yield _item(path, member.filename, Refused(why))
                continue
            try:
                with archive.open(member) as file:
                    # No more than it claims: without a number all is unpacked at once.
                    content: bytes | Refused = file.read(member.file_size)
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError, *_UNREADABLE) as error:
                content = Refused(f"cannot be unpacked ({error})")
            yield _item(path, member.filename, content)


def _warn_of_others(path: Path, name: str, told: set[str]) -> None:
    """Warn, once for each kind, of what is read from folders, and of archives in the archive."""
    own = PurePosixPath(name).name
    if own.startswith("."):  # with which macOS accompanies others
        return
    kinds = (end for end in (*_NESTED, *_FILES) if own.lower().endswith(end))
    begins = (begin for begin in VASP_NAMES if own.lower().startswith(begin))
    beside = (file for file in _BESIDE if own == file)
    like = (part for part in LIKE_CIFS if part in own.lower())
    kind = next(iter((*kinds, *begins, *beside, *like)), None)
    if kind is not None and kind not in told:
        told.add(kind)
        warn_caller(
            f"{path}: {name} in the archive is not read; unpack the archive, and make the store of "
            "its folder"
        )


def _is_cif(name: str) -> bool:
    # Not the files with which macOS accompanies others.
    hidden = PurePosixPath(name).name.startswith(".")
    return name.lower().endswith((*_CIFS, *_OTHER_CIFS)) and not hidden


def _item(path: Path, name: str, content: bytes | Refused) -> Item:
    stem = str(PurePosixPath(name).with_name(source_id(name, 0)))
    source: Any = content
    if isinstance(content, bytes):
        source = PackedCif(content, name.lower().endswith(".gz"))
    return Item(source, stem, f"{path}: {name}", {})
