"""Folders of crystals with links and files of other names: none is left out in silence."""

import errno
import os
import shutil

import pytest

from skcgcnn.cli._app import expanded
from skcgcnn.datasets import load_id_prop
from skcgcnn.exceptions import DataError
from skcgcnn.quality import open_data
from skcgcnn.stores import featurize
from skcgcnn.stores._sources import read_folder
from skcgcnn.training import Settings, train


@pytest.fixture
def folder(cifs, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(cifs[0], folder / "one.cif")
    return folder


def test_a_link_to_a_folder_above_another_link(folder, cifs, tmp_path):
    other = tmp_path / "other"
    (other / "part").mkdir(parents=True)
    for cif, place in zip(cifs, (other / "part/a.cif", other / "b.cif"), strict=False):
        shutil.copy(cif, place)
    (other / "part" / "up").symlink_to(other)
    (folder / "first").symlink_to(other / "part")
    assert read_folder(folder).cif_ids == ["one", "first/a"]
    (folder / "second").symlink_to(other)
    assert read_folder(folder).cif_ids == ["one", "first/a", "second/b"]
    (folder / "again").symlink_to(other)
    assert read_folder(folder).cif_ids == ["one", "again/b", "again/part/a"]


@pytest.mark.parametrize("name", ["POSCAR", "b.mcif", "b.cif.zst", "b.cif.txt", "b.CIF~"])
def test_files_that_may_be_crystals(folder, name):
    (folder / "below").mkdir()
    (folder / "below" / name).touch()
    with pytest.warns(UserWarning, match=f"left out: .*below/{name}. It leads"):
        assert read_folder(folder).cif_ids == ["one"]


def test_a_link_to_a_folder_that_is_not_there(folder):
    (folder / "part2").symlink_to("/not/mounted")
    (folder / ".#lock").symlink_to("of an editor")
    (folder / "part3").symlink_to("/not/mounted")
    with pytest.warns(UserWarning, match=r"left out: .*part2, and 1 more. It leads"):
        assert read_folder(folder).cif_ids == ["one"]


def test_a_pattern_that_leads_into_a_folder_that_cannot_be_read(folder, tmp_path, monkeypatch):
    shut = folder / "part" / "shut"
    shut.mkdir(parents=True)
    shutil.copy(folder / "one.cif", folder / "part" / "two.cif")
    scandir = os.scandir

    def refuse(path):  # the superuser may read all
        if str(path) == str(shut):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for read in (
        lambda pattern: expanded([folder / pattern]),
        lambda pattern: featurize(folder / pattern, tmp_path / "store"),
    ):
        for pattern in ("**/*.cif", "part/*/*.cif", "p*/**/*.cif"):
            with pytest.raises(PermissionError, match="shut"):
                read(pattern)
    assert expanded([folder / "p*/*.cif"]) == [folder / "part/two.cif"]


def test_features_of_the_elements_that_are_not_there(folder, tmp_path):
    (folder / "id_prop.csv").write_text("one,1\n")
    (folder / "atom_init.json").symlink_to("/not/mounted")
    for read in (
        lambda: load_id_prop(folder),
        lambda: open_data(folder),
        lambda: featurize(folder, tmp_path / "store"),
        lambda: train(Settings(str(folder)), tmp_path / "run"),
    ):
        with pytest.raises(DataError, match=r"atom_init\.json: leads to no file"):
            read()
    assert not (tmp_path / "store").exists()
