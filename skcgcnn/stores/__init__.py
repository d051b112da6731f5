"""Stores: graphs and properties of more crystals than fit into memory, in a folder."""

from skcgcnn.stores._featurize import Featurized, featurize
from skcgcnn.stores._store import Store, is_store, open_store

__all__ = ["Featurized", "Store", "featurize", "is_store", "open_store"]
