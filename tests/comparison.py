"""Comparison of graphs and of folders."""

import numpy as np

ARRAYS = (
    *("offsets", "site_kinds", "site_counts", "kind_features", "bond_offsets"),
    *("neighbors", "distances", "bond_counts", "site_classes", "ids"),
)


def assert_equal(first, second):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def assert_same_crystal(first, second):
    np.testing.assert_array_equal(
        first.kind_features[first.site_kinds], second.kind_features[second.site_kinds]
    )
    for name in (
        *("site_counts", "bond_offsets", "neighbors", "distances"),
        *("bond_counts", "site_classes"),
    ):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    assert first.id == second.id


def contents(folder):
    """Return the bytes of all files in a folder, by their paths in it."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
