"""Writing files: whole or not at all, and nothing else touched."""

# ruff: noqa: PTH208, PTH116, PT012

import errno
import os
import stat
import threading
import time
from pathlib import Path

import pytest
from hostile import run_bounded

from skcgcnn import CrystalGraphs
from skcgcnn._files import (
    atomic_write,
    lock_folder,
    named_if_full,
    remove_old,
    take_folder,
    unlock_folder,
)


def write(path, text, mode="w"):
    with atomic_write(path, mode) as file:
        file.write(text)


def test_several_writers_and_readers_never_see_half_a_file(tmp_path):
    path, texts = tmp_path / "file", [letter * 200_000 for letter in "ab"]
    write(path, texts[0])
    failures = []

    def writer(text):
        for _ in range(100):
            try:
                write(path, text)
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=writer, args=(text,)) for text in texts for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert path.read_text() in texts
    assert not failures
    assert os.listdir(tmp_path) == ["file"]


def test_a_planted_link_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (".file.tmp", "file.tmp"):
        (tmp_path / name).symlink_to(victim)
    write(tmp_path / "file", "new")
    assert victim.read_text() == "precious"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_failures_leave_nothing_behind(tmp_path):
    write(tmp_path / "file", "old")
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "file") as file:
        file.write("half")
        _ = 1 / 0
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_what_is_no_regular_file_is_written_directly(tmp_path):
    write("/dev/null", b"nothing", "wb")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write(pipe, "through")
    reader.join(5)
    assert read == ["through"]
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)


def test_permissions_are_those_of_the_umask_and_of_the_old_file(tmp_path):
    before = os.umask(0o022)
    try:
        write(tmp_path / "file", "new")
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
        (tmp_path / "file").chmod(0o600)
        write(tmp_path / "file", "newer")
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    finally:
        assert os.umask(before) == 0o022


def test_a_pipe_is_written_directly(tmp_path):
    read, end = os.pipe()
    write(f"/proc/self/fd/{end}", "text")
    os.close(end)
    with open(read) as file:  # noqa: PTH123 - of a file that is open
        assert file.read() == "text"


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        write(tmp_path / "nowhere" / "file", "text")
    assert caught.value.filename == str(tmp_path / "nowhere" / "file")


def test_names_whose_bytes_are_no_letters_are_escaped(tmp_path):
    with atomic_write(tmp_path / "a.html") as file:
        file.write("caf\udce9")
    assert (tmp_path / "a.html").read_text("utf-8") == r"caf\udce9"


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write("~/file", "text")
    assert (tmp_path / "file").read_text() == "text"


def test_the_home_of_nobody_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("~nobody-of-this-name", "text")
    assert (tmp_path / "~nobody-of-this-name").read_text() == "text"


KILLED = """
import os, signal
from skcgcnn._files import atomic_write, lock_folder, named_if_full, take_folder, unlock_folder
with atomic_write(sys.argv[1]) as file:
    file.write("half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


WRITE = """
from skcgcnn._files import atomic_write, lock_folder, named_if_full, take_folder, unlock_folder
with atomic_write(sys.argv[1]) as file:
    file.write("whole")
"""


@pytest.mark.slow
def test_what_a_killed_process_left_is_removed(tmp_path):
    with pytest.raises(RuntimeError, match="exit status -9"):
        run_bounded(KILLED, tmp_path / "big")
    (left,) = os.listdir(tmp_path)
    for foreign in (".big.tmp", ".x.skcgcnn.tmp", f"{left}x"):
        (tmp_path / foreign).write_text("of others")
    kept = {*os.listdir(tmp_path)} - {left}
    with atomic_write(tmp_path / "other") as file:  # the first write to this folder
        file.write("half")
        file.flush()
        run_bounded(WRITE, tmp_path / "file")  # leaves what is being written
    assert {*os.listdir(tmp_path)} == kept | {"other", "file"}


def test_empty_files_of_the_killed_are_removed_too(tmp_path):
    old, new = tmp_path / ".a.skcgcnn-0.tmp", tmp_path / ".b.skcgcnn-0.tmp"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    with atomic_write(tmp_path / "file") as file:
        file.write("text")
    assert {*os.listdir(tmp_path)} == {new.name, "file"}  # its writer may be about to lock it


def test_what_somebody_writes_to_is_not_removed(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    paths = [tmp_path / f".{name}.skcgcnn-0.tmp" for name in "ab"]
    for path in paths:
        path.write_text("half")
        os.utime(path, (0, 0))
    with paths[0].open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write(tmp_path / "file", "text")
    assert {*os.listdir(tmp_path)} == {paths[0].name, "file"}


def test_a_full_disk_leaves_old_files_whole_and_is_named(graphs, tmp_path):
    resource = pytest.importorskip("resource")

    names = ("text.csv", "graphs.npz", "graphs")

    def write_text():
        with atomic_write(tmp_path / "text.csv") as file:
            file.write("x" * 2000)

    write = [
        write_text,
        lambda: graphs.save(tmp_path / "graphs.npz"),
        lambda: graphs.save(tmp_path / "graphs"),
    ]
    (tmp_path / "text.csv").write_text("old")
    for path in names[1:]:
        graphs[:3].save(tmp_path / path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for name, action in zip(names, write, strict=True):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # Python ignores the signal
        try:
            with pytest.raises(OSError, match="too large") as caught:
                action()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert str(tmp_path / name) in str(caught.value.filename)
    assert (tmp_path / "text.csv").read_text() == "old"
    assert [len(CrystalGraphs.load(tmp_path / path)) for path in names[1:]] == [3, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graphs", "graphs.npz", "text.csv"]
    assert len(list((tmp_path / "graphs").iterdir())) == 2


def test_a_file_that_is_protected_is_not_replaced(tmp_path, monkeypatch):
    # Root may do everything, and so may tests in containers.
    monkeypatch.setattr(os, "access", lambda path, mode: bool(os.stat(path).st_mode & mode << 6))
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o444)
    (tmp_path / "link").symlink_to(file)
    for path in (file, tmp_path / "link"):
        with pytest.raises(PermissionError) as caught, atomic_write(path) as new:
            new.write("new")
        assert caught.value.filename == str(path)
    assert file.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


def open_files():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_a_folder_is_locked_for_one_at_a_time_and_no_file_stays_open(tmp_path):
    pytest.importorskip("fcntl")
    before = open_files()
    number = lock_folder(tmp_path, wait=False)
    assert open_files() == before + 1
    for lock in (take_folder, lambda folder: lock_folder(folder, wait=False)):
        with pytest.raises(BlockingIOError):
            lock(tmp_path)
        assert open_files() == before + 1
    unlock_folder(number)
    unlock_folder(None)
    assert open_files() == before
    unlock_folder(take_folder(tmp_path))  # nobody has it any more
    with pytest.raises(FileNotFoundError):
        lock_folder(tmp_path / "nowhere", wait=False)
    with pytest.raises(BlockingIOError):  # it was there a moment ago
        take_folder(tmp_path / "nowhere")
    assert open_files() == before


def test_who_waits_for_a_folder_gets_it_next(tmp_path):
    pytest.importorskip("fcntl")
    first, order = lock_folder(tmp_path, wait=True), []

    def wait():
        number = lock_folder(tmp_path, wait=True)
        order.append("second")
        unlock_folder(number)

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(0.1)
    order.append("first")
    unlock_folder(first)
    waiting.join(10)
    assert order == ["first", "second"]


def test_a_folder_that_was_replaced_while_it_was_locked_is_not_taken(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    folder, flock = tmp_path / "folder", fcntl.flock
    folder.mkdir()

    def replaced(number, how):
        folder.rename(tmp_path / "old")
        folder.mkdir()
        flock(number, how)

    monkeypatch.setattr(fcntl, "flock", replaced)
    with pytest.raises(BlockingIOError):
        take_folder(folder)
    monkeypatch.undo()
    unlock_folder(lock_folder(tmp_path / "old", wait=False))  # nobody keeps it


def test_where_folders_cannot_be_locked_all_may_have_them(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = len(list(Path("/dev/fd").iterdir()))
    assert lock_folder(tmp_path, wait=True) is None
    assert take_folder(tmp_path) is None
    assert len(list(Path("/dev/fd").iterdir())) == before


@pytest.mark.parametrize("name", ["ENOSPC", "EFBIG", "EDQUOT", "EIO", "ESTALE"])
def test_a_disk_without_room_or_that_fails_is_named_and_other_errors_stay(name, tmp_path):
    number = getattr(errno, name)
    with pytest.raises(OSError, match="of a test") as caught, named_if_full(tmp_path):
        raise OSError(number, "of a test")
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path))
    for error in (OSError(number, "of a test", "other"), OSError(errno.EACCES, "of a test")):
        with pytest.raises(OSError, match="of a test") as caught, named_if_full(tmp_path):
            raise error
        assert caught.value is error


def test_a_device_without_room_is_named():
    with pytest.raises(OSError, match="No space") as caught:
        write(Path("/dev/full"), "text")
    assert caught.value.filename == "/dev/full"


def test_bytes_are_written_as_they_are(tmp_path):
    write(tmp_path / "file", b"a\r\n\xff", "wb")
    assert (tmp_path / "file").read_bytes() == b"a\r\n\xff"
    write(tmp_path / "file", "\u00e5\r\n\n")
    assert (tmp_path / "file").read_bytes() == b"\xc3\xa5\r\n\n"


def test_names_of_any_length_that_a_file_may_have(tmp_path):
    for name in ("a" * 255, ".hidden"):
        write(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"
    assert len(os.listdir(tmp_path)) == 2


def test_what_is_complete_is_on_the_disk_before_it_takes_the_place_of_another(
    tmp_path, monkeypatch
):
    steps, fsync, replace = [], os.fsync, os.replace

    def noted_fsync(number):
        steps.append(os.fstat(number).st_size)
        fsync(number)

    def noted_replace(old, new):
        steps.append((Path(new).name, (tmp_path / "file").read_text()))
        replace(old, new)

    write(tmp_path / "file", "old")
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write(tmp_path / "file", "whole")
    assert steps == [5, ("file", "old")]
    assert (tmp_path / "file").read_text() == "whole"


def test_what_is_being_written_is_locked_and_has_the_name_of_its_file(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    with atomic_write(tmp_path / "file") as file:
        file.write("text")
        (name,) = os.listdir(tmp_path)
        assert name.startswith(".file.skcgcnn-")
        assert name.endswith(".tmp")
        with (tmp_path / name).open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_an_empty_file_is_left_for_ten_seconds(tmp_path):
    now = time.time()
    for age in (8, 12):
        path = tmp_path / f".{age}.skcgcnn-0.tmp"
        path.touch()
        os.utime(path, (now - age, now - age))
    (tmp_path / "folder.skcgcnn-0.tmp").mkdir()
    (tmp_path / ".link.skcgcnn-0.tmp").symlink_to(tmp_path / ".12.skcgcnn-0.tmp")
    write(tmp_path / "file", "text")
    assert {*os.listdir(tmp_path)} == {
        ".8.skcgcnn-0.tmp", "folder.skcgcnn-0.tmp", ".link.skcgcnn-0.tmp", "file",
    }  # fmt: skip


def test_of_old_results_links_and_pipes_stay_and_what_is_protected(tmp_path, monkeypatch):
    names = ("file", "link", "pipe", "protected")
    file, link, pipe, protected = (tmp_path / name for name in names)
    for path in (file, tmp_path / "target", protected):
        write(path, "old")
    link.symlink_to("target")
    os.mkfifo(pipe)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, how: path != protected and access(path, how))
    for path in (file, link, pipe, protected, tmp_path / "none"):
        remove_old(path)
    assert {*os.listdir(tmp_path)} == {"link", "pipe", "protected"}
    write(link, "new")
    assert (tmp_path / "target").read_text() == "new"
