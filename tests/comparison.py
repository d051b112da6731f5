"""Comparison of graphs."""

import numpy as np

ARRAYS = ("offsets", "site_kinds", "kind_features", "neighbors", "distances", "ids")


def assert_equal(first, second):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def assert_same_crystal(first, second):
    np.testing.assert_array_equal(
        first.kind_features[first.site_kinds], second.kind_features[second.site_kinds]
    )
    np.testing.assert_array_equal(first.neighbors, second.neighbors)
    np.testing.assert_array_equal(first.distances, second.distances)
    assert first.id == second.id
