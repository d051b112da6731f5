"""All that stands in a figure: points, lines, limits, texts and colors."""

import sys

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_hex
from pymatgen.core import Lattice, Structure
from scipy.stats import norm

from skcgcnn import plotting
from skcgcnn.plotting import BLUE, ORANGE


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(labels):
    return [label.get_text() for label in labels]


def hexes(colors):
    return [to_hex(color) for color in colors]


def test_parity_of_few_numbers():
    true, said = np.array([0.0, 1.0, 2.0, np.nan, 5.0]), np.array([0.5, 1.0, 1.0, 3.0, np.inf])
    std = np.array([0.1, 0.2, 0.3, 9.0, 9.0])
    ax = plotting.parity(true, said, y_std=std, name="gap", unit="eV")
    bars, points = ax.collections
    assert np.array(points.get_offsets()).tolist() == [[0, 0.5], [1, 1], [2, 1]]
    assert hexes(points.get_facecolor()) == [to_hex(BLUE)]
    np.testing.assert_allclose(
        bars.get_segments(), [[[0, 0.4], [0, 0.6]], [[1, 0.8], [1, 1.2]], [[2, 0.7], [2, 1.3]]]
    )
    (diagonal,) = ax.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [2, 2]]
    # What matters is on top.
    assert diagonal.zorder < bars.zorder < points.zorder
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("gap, true (eV)", "gap, predicted (eV)")
    assert ax.get_title() == "mean absolute error 0.5 eV"
    (corner,) = ax.child_axes
    assert corner.get_title() == "errors"
    counts = {
        round(bar.get_x() + bar.get_width() / 2, 2): bar.get_height()
        for bar in corner.patches
        if bar.get_height()
    }
    assert len(corner.patches) == 21
    assert counts == pytest.approx({-0.96: 1, 0.04: 1, 0.46: 1}, abs=0.01)
    assert hexes(bar.get_facecolor() for bar in corner.patches) == [to_hex(ORANGE)] * 21
    assert set(corner.lines[0].get_xdata()) == {0}
    low, high = corner.get_xlim()
    assert corner.get_xticks().tolist() == [low, high]
    assert texts(corner.get_xticklabels()) == [f"{low:.2g}", f"{high:.2g}"]
    assert (low, high) == pytest.approx((-1.075, 0.575))
    assert len(corner.get_yticks()) == 0


def test_parity_without_names():
    ax = plotting.parity([0.0, 1.0], [1.0, 2.0])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("true", "predicted")
    assert ax.get_title() == "mean absolute error 1"
    assert len(ax.collections) == 1
    # The diagonal goes from the lowest to the highest of both.
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [2, 2]]
    (corner,) = ax.child_axes
    bars = [bar for bar in corner.patches if bar.get_height()]
    assert [bar.get_height() for bar in bars] == [2]
    # A fifth of the error on both sides of it.
    assert corner.patches[0].get_x() == pytest.approx(0.8)
    assert corner.patches[-1].get_x() + corner.patches[-1].get_width() == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("scale", "power"), [(0.01, True), (0.1, False), (1, False), (1e3, False), (1e4, True)]
)
def test_very_large_and_small_numbers_have_a_power(scale, power):
    ax = plotting.parity(scale * np.array([0.0, 2.0, 4.0]), scale * np.array([0.0, 2.0, 4.0]))
    ax.figure.canvas.draw()
    for axis in (ax.xaxis, ax.yaxis):
        assert bool(axis.get_offset_text().get_text()) == power


def test_the_title_of_the_histogram_is_close_to_it():
    ax = plotting.parity([0.0, 1.0], [1.0, 2.0])
    ax.figure.canvas.draw()
    (corner,) = ax.child_axes
    points = 72 / ax.figure.dpi  # a point is 1/72 inch
    gap = points * (corner.title.get_window_extent().y0 - corner.get_window_extent().y1)
    assert 0 < gap < 4


@pytest.mark.parametrize(
    ("x", "y", "box"),
    [
        ([0, 10, 9], [0, 10, 1], (0.08, 0.68, 0.28, 0.22)),
        ([0, 10, 1], [0, 10, 9], (0.68, 0.1, 0.28, 0.22)),
        ([0, 10, 1, 9], [0, 10, 9, 1], (0.68, 0.1, 0.28, 0.22)),
        ([0, 10, 6.1], [0, 10, 3.9], (0.08, 0.68, 0.28, 0.22)),
        ([0, 10, 6.1], [0, 10, 4.1], (0.68, 0.1, 0.28, 0.22)),
        ([0, 10, 5.9], [0, 10, 3.9], (0.68, 0.1, 0.28, 0.22)),
        ([0, 10, 3.9, 9], [0, 10, 6.1, 1], (0.68, 0.1, 0.28, 0.22)),
        ([0, 10, 4.1, 9], [0, 10, 6.1, 1], (0.08, 0.68, 0.28, 0.22)),
        ([0, 10, 3.9, 9], [0, 10, 5.9, 1], (0.08, 0.68, 0.28, 0.22)),
        ([5, 5], [5, 5], (0.68, 0.1, 0.28, 0.22)),
    ],
)
@pytest.mark.parametrize("scale", [1, 1e-200])
def test_the_histogram_stands_where_fewer_points_are(x, y, box, scale):
    ax = plotting.parity(scale * np.array(x), scale * np.array(y))
    ax.figure.canvas.draw()
    (corner,) = ax.child_axes
    found = corner.get_window_extent().transformed(ax.transAxes.inverted())
    assert found.bounds == pytest.approx(box)


def test_reliability_counts_errors_within_intervals():
    errors, std = np.array([0.5, -1.0, 3.0, np.nan, 1.0]), np.array([1.0, 2.0, 1.0, 1.0, np.nan])
    ax = plotting.interval_reliability(errors, std, label="own $")
    diagonal, line = ax.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    levels, shares = line.get_data()
    np.testing.assert_allclose(levels, np.arange(1, 20) / 20)
    ratios = np.array([0.5, 0.5, 3.0])
    np.testing.assert_allclose(
        shares, [(ratios <= norm.interval(level)[1]).mean() for level in levels]
    )
    assert (line.get_marker(), line.get_color()) == ("o", BLUE)
    assert ax.get_xlabel() == "confidence level of the interval"
    assert ax.get_ylabel() == "share of errors within it"
    assert texts(ax.get_legend().get_texts()) == [r"own \$"]
    assert plotting.interval_reliability([1.0], [1.0]).get_legend() is None
    # An error at the end of an interval is within it.
    ends = [norm.ppf((1 + level) / 2) for level in levels]
    line = plotting.interval_reliability(ends, np.ones(len(ends))).lines[1]
    np.testing.assert_allclose(line.get_ydata(), np.arange(1, len(ends) + 1) / len(ends))


def test_names_and_colors_of_losses():
    losses = {"training": [1.0, 0.5], "validation": [2.0, 3.0], "a $": [4.0, np.nan]}
    ax = plotting.loss_curves(losses, best_epoch=2)
    assert texts(ax.get_legend().get_texts()) == [
        "training", "validation", r"a \$", "best epoch, 2"
    ]  # fmt: skip
    assert hexes(line.get_color() for line in ax.lines[:3]) == hexes([BLUE, ORANGE, "0.6"])
    assert ax.lines[3].get_linestyle() == ":"
    assert ax.get_yscale() == "log"
    assert [ax.yaxis.get_major_formatter()(value, 0) for value in (0.05, 1.0, 20.0)] == [
        "0.05", "1", "20"
    ]  # fmt: skip
    assert ax.yaxis.get_minor_formatter()(0.3, 0) == ""
    for alone in (plotting.loss_curves([1.0, 0.5]), plotting.loss_curves([1.0, 0.0])):
        assert texts(alone.get_legend().get_texts()) == ["training"]
    assert plotting.loss_curves([1.0, 0.0]).get_yscale() == "linear"


def components(rows):
    """Return the first two principal components of scaled rows, by numpy."""
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    u, s, _ = np.linalg.svd(scaled, full_matrices=False)
    return (u * s)[:, :2], s**2 / (s**2).sum()


@pytest.mark.parametrize("shape", [(30, 5), (600, 70), (40, 600)])
def test_a_map_shows_principal_components(shape):
    rows = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 9, shape[1])
    bad = np.append(rows, np.full((1, shape[1]), np.nan), axis=0)
    values = np.arange(len(bad))
    ax = plotting.embedding_map(bad, values, name="energy", unit="eV")
    (points,) = ax.collections
    expected, shares = components(rows)
    np.testing.assert_allclose(np.abs(np.array(points.get_offsets())), np.abs(expected), atol=1e-9)
    assert ax.get_xlabel() == f"principal component 1 ({shares[0]:.0%})"
    assert ax.get_ylabel() == f"principal component 2 ({shares[1]:.0%})"
    np.testing.assert_array_equal(points.get_array(), values[:-1])
    assert points.get_cmap().name == "viridis"
    (bar,) = (each for each in ax.figure.axes if each is not ax)
    assert bar.get_ylabel() == "energy (eV)"


def test_a_map_of_labels_and_one_without_values():
    rows = np.random.default_rng(0).normal(size=(24, 5))
    rows[0] = np.nan
    labels = np.array([f"label {i % 12}" for i in range(24)])
    ax = plotting.embedding_map(rows, labels, name="kind", unit="x")
    expected, _ = components(rows[1:])
    names = sorted(set(labels))
    assert texts(ax.get_legend().get_texts()) == names
    assert ax.get_legend().get_title().get_text() == "kind (x)"
    for place, (name, points) in enumerate(zip(names, ax.collections, strict=True)):
        own = expected[labels[1:] == name]
        np.testing.assert_allclose(np.abs(np.array(points.get_offsets())), np.abs(own))
        assert hexes(points.get_facecolor()) == hexes([f"C{place % 10}"])
    ax = plotting.embedding_map(rows)
    (points,) = ax.collections
    assert hexes(points.get_facecolor()) == [to_hex(BLUE)]
    assert len(points.get_offsets()) == 23
    assert ax.get_legend() is None
    assert ax.figure.axes == [ax]
    long = plotting.embedding_map(rows, ["a label of many words that is long", "b"] * 12)
    assert texts(long.get_legend().get_texts())[0] == "a label of many words\nthat is long"


def test_two_crystals_are_enough_and_one_value_for_all_is_no_error():
    ax = plotting.embedding_map(np.array([[0.0, 1.0, 7.0], [2.0, 3.0, 7.0]]))
    (points,) = ax.collections
    along, across = np.abs(np.array(points.get_offsets())).T
    np.testing.assert_allclose(along, 2**0.5)
    np.testing.assert_allclose(across, 0, atol=1e-12)


def test_umap_that_is_not_there_and_one_that_is(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(9, 5))
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r"method=.umap. needs UMAP: pip install 'umap-learn'"):
        plotting.embedding_map(rows, method="umap")

    class Stand:
        def __init__(self, random_state):
            assert random_state == 0

        def fit_transform(self, rows):
            np.testing.assert_allclose([rows.mean(), rows.std()], [0, 1], atol=1e-9)
            return rows[:, :2]

    monkeypatch.setitem(sys.modules, "umap", type(sys)("umap"))
    sys.modules["umap"].UMAP = Stand
    ax = plotting.embedding_map(rows, method="umap")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("UMAP 1", "UMAP 2")
    points = np.array(ax.collections[0].get_offsets())
    np.testing.assert_allclose(points, ((rows - rows.mean(0)) / rows.std(0))[:, :2])


def test_sizes_of_crystals():
    ax = plotting.crystal_sizes([2, 2, 8, 20])
    assert [bar.get_height() for bar in ax.patches] == [2, 1, 0, 1]
    assert (ax.patches[0].get_x(), ax.patches[-1].get_x() + ax.patches[-1].get_width()) == (2, 20)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("sites per crystal", "crystals")
    assert hexes(bar.get_facecolor() for bar in ax.patches) == [to_hex(BLUE)] * 4
    assert len(plotting.crystal_sizes(np.arange(100)).patches) == 40


def test_colors_of_elements():
    ax = plotting.elements({"Na": 4.0, "Cl": 2.0, "Xx": 9.0}, label="sites $")
    (image,) = ax.images
    assert (image.norm.vmin, image.norm.vmax) == (2, 4)
    assert image.get_cmap().name == "YlOrBr"
    table = np.ma.filled(image.get_array(), np.nan)
    assert (table[2, 0], table[2, 16]) == (4, 2)
    assert np.isfinite(table).sum() == 2
    (bar,) = (each for each in ax.figure.axes if each is not ax)
    assert bar.get_ylabel() == r"sites \$"
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0
    assert not any(spine.get_visible() for spine in ax.spines.values())
    # Every element has a place of its own.
    assert len({text.get_position() for text in ax.texts}) == 118
    where = {text.get_text(): text.get_position() for text in ax.texts}
    for symbol, place in {
        "He": (17, 0), "Ba": (1, 5), "La": (2, 7), "Lu": (16, 7), "Hf": (3, 5),
        "Ra": (1, 6), "Ac": (2, 8), "Lr": (16, 8), "Rf": (3, 6),
    }.items():  # fmt: skip
        assert where[symbol] == place


@pytest.mark.parametrize(
    ("values", "options", "limits", "colors"),
    [
        ({"H": 3.0}, {}, (3, 4), "YlOrBr"),
        ({}, {}, (0, 1), "YlOrBr"),
        ({}, {"log": True}, (0, 1), "YlOrBr"),
        ({"H": 1.0, "O": 100.0, "N": 0.0}, {"log": True}, (1, 100), "YlOrBr"),
        ({"H": 3.0}, {"log": True}, (3, 30), "YlOrBr"),
        ({"H": 3.0, "O": -1.0}, {"center": 0}, (-3, 3), "RdBu_r"),
        ({"H": 3.0, "O": -1.0}, {"center": 2}, (-1, 5), "RdBu_r"),
        ({"H": 3e-19, "O": -1e-19}, {"center": 0}, (-3e-19, 3e-19), "RdBu_r"),
        ({"H": 2.0}, {"center": 2}, (0, 4), "RdBu_r"),
    ],
)
def test_limits_of_colors(values, options, limits, colors):
    (image,) = plotting.elements(values, **options).images
    assert (image.norm.vmin, image.norm.vmax) == limits
    assert image.get_cmap().name == colors
    if "center" in options:
        assert image.norm(options["center"]) == 0.5


def test_counts_beside_the_elements_are_plain_numbers():
    ax = plotting.elements({"H": 1.0, "O": 1000.0}, log=True)
    (bar,) = (each for each in ax.figure.axes if each is not ax)
    ax.figure.canvas.draw()
    assert bar.yaxis.get_major_formatter()(1000.0, 0) == "1000"
    assert bar.yaxis.get_minor_formatter()(20.0, 0) == ""


@pytest.mark.parametrize("numbers", [[2.0] * 4 + [-1.0] * 4, [0.5] * 8, [0.0] * 8])
def test_colors_of_sites_go_by_the_largest_number(numbers, nacl):
    pytest.importorskip("ase")
    ax = plotting.crystal(nacl, numbers, label="share $")
    reach = max(map(abs, numbers)) or 1.0
    colors = mpl.colormaps["RdBu_r"](mpl.colors.Normalize(-reach, reach)(numbers))
    atoms = [patch for patch in ax.patches if isinstance(patch, mpl.patches.Circle)]
    shown = hexes(patch.get_facecolor() for patch in atoms)
    assert sorted(set(shown)) == sorted(set(hexes(colors)))
    (bar,) = (each for each in ax.figure.axes if each is not ax)
    assert bar.get_ylabel() == r"share \$"
    assert bar.get_ylim() == (-reach, reach)
    assert not ax.axison


def test_a_crystal_by_element_has_its_cell(nacl):
    pytest.importorskip("ase")
    ax = plotting.crystal(nacl)
    assert ax.figure.axes == [ax]
    assert not ax.axison
    atoms = [patch for patch in ax.patches if isinstance(patch, mpl.patches.Circle)]
    assert len({to_hex(patch.get_facecolor()) for patch in atoms}) == 2
    assert len(ax.patches) > len(atoms) >= 8
    turned = plotting.crystal(nacl, rotation="0x,0y,0z")
    circles = [patch for patch in turned.patches if isinstance(patch, mpl.patches.Circle)]
    assert sorted(each.center[0] for each in circles) != sorted(each.center[0] for each in atoms)


def test_new_figures_have_their_sizes(nacl):
    pytest.importorskip("ase")
    sizes = {
        "parity": (plotting.parity([0, 1], [0, 1]), (4.2, 3.8)),
        "map": (plotting.embedding_map(np.eye(3)), (5.0, 3.8)),
        "elements": (plotting.elements({"H": 1.0}), (8.0, 4.4)),
        "crystal": (plotting.crystal(nacl), (4.2, 3.8)),
    }
    for ax, size in sizes.values():
        assert tuple(ax.figure.get_size_inches()) == size
        assert ax.figure.get_layout_engine() is not None


def styles(artists, *names):
    return [tuple(getattr(each, f"get_{name}")() for name in names) for each in artists]


def test_points_and_lines_are_thin_enough_to_tell_apart():
    rows = np.random.default_rng(0).normal(size=(9, 3))
    ax = plotting.parity([0.0, 1.0], [1.0, 0.0], y_std=[0.1, 0.1])
    bars, points = ax.collections
    assert (bars.get_linewidths().tolist(), hexes(bars.get_colors())) == ([0.6], hexes(["0.6"]))
    assert (points.get_sizes().tolist(), points.get_alpha()) == ([12], 0.7)
    assert len(points.get_edgecolors()) == 0
    (corner,) = ax.child_axes
    for lines in (ax.lines, corner.lines):
        assert styles(lines, "color", "linewidth") == [("0.6", 1)]
    ax = plotting.interval_reliability([0.5, 1.0], [1.0, 1.0], label="own")
    assert styles(ax.lines, "color", "linewidth", "marker", "markersize")[0][:2] == ("0.6", 1)
    assert ax.lines[1].get_markersize() == 3
    assert not ax.get_legend().get_frame_on()
    ax = plotting.loss_curves([1.0, 0.5], best_epoch=1)
    assert ax.lines[1].get_color() == "0.6"
    assert not ax.get_legend().get_frame_on()
    for values in (None, np.arange(9), ["a"] * 9):
        (points,) = plotting.embedding_map(rows, values).collections
        assert points.get_sizes().tolist() == [14]
        assert len(points.get_edgecolors()) == 0
    legend = plotting.embedding_map(rows, ["a"] * 9).get_legend()
    assert not legend.get_frame_on()
    assert legend.get_texts()[0].get_fontsize() < plt.rcParams["font.size"]
    ax = plotting.elements({"H": 1.0})
    assert set(styles(ax.texts, "ha", "va")) == {("center", "center")}
    assert max(text.get_fontsize() for text in ax.texts) < plt.rcParams["font.size"]


def test_numbers_on_the_axis_are_few():
    ax = plotting.parity([0.0, 8.0], [0.0, 8.0])
    low, high = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [0, 2.5, 5, 7.5]


@pytest.mark.parametrize(
    ("errors", "ends"),
    [
        ([0.0, 0.0], (-1, 1)),
        ([-0.5, -0.5], (-0.6, -0.4)),
        ([1.0, 1 + 5e-7], (0.8, 1.2)),
        ([1.0, 1 + 5e-6], (1.0, 1 + 5e-6)),
        ([-1.0, 3.0], (-1, 3)),
    ],
)
def test_where_the_histogram_of_errors_begins_and_ends(errors, ends):
    (corner,) = plotting.parity([0.0, 0.0], errors).child_axes
    first, *_, last = corner.patches
    found = first.get_x(), last.get_x() + last.get_width()
    assert found == pytest.approx(ends, rel=1e-6 if ends[1] == 1.2 else 1e-9)


def test_more_than_three_losses():
    losses = {name: [1.0, 0.5] for name in "abcde"}
    ax = plotting.loss_curves(losses)
    assert texts(ax.get_legend().get_texts()) == list("abcde")
    assert len({to_hex(line.get_color()) for line in ax.lines}) == 5


def test_numbers_that_are_all_at_the_center():
    for center, reach in ((2.0, 2.0), (-1e20, 1e20), (0.0, 1.0)):
        (image,) = plotting.elements({"H": center, "O": center}, center=center).images
        assert (image.norm.vmin, image.norm.vmax) == (center - reach, center + reach)
        assert image.norm(center) == 0.5


@pytest.mark.parametrize(
    ("site", "shown"),
    [({"Na": 0.3, "K": 0.7}, "K"), ({"Na": 0.7, "K": 0.3}, "Na"), ({"Na": 0.5, "K": 0.5}, "Na")],
)
def test_a_mixed_site_is_drawn_as_its_most_frequent_element(site, shown):
    pytest.importorskip("ase")
    mixed, pure = (Structure(Lattice.cubic(4.2), [each], [[0.5] * 3]) for each in (site, shown))
    colors = [
        [
            (to_hex(patch.get_facecolor()), patch.get_radius())
            for patch in plotting.crystal(each).patches
            if isinstance(patch, mpl.patches.Circle)
        ]
        for each in (mixed, pure)
    ]
    assert colors[0] == colors[1]
    assert len(colors[0]) == 1
