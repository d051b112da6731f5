"""Stores: graphs and properties of more crystals than fit into memory, in a folder."""

from skcgcnn.stores._columns import as_in_tables
from skcgcnn.stores._featurize import Featurized, featurize
from skcgcnn.stores._sources import read_folder, read_paths, refuse_many
from skcgcnn.stores._store import Store, is_store, open_store

__all__ = [
    "Featurized",
    "Store",
    "as_in_tables",
    "featurize",
    "is_store",
    "open_store",
    "read_folder",
    "read_paths",
    "refuse_many",
]
