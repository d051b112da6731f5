"""Figures: what they show, and where they are drawn."""

import itertools

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt
from pymatgen.core import Element, Lattice, Structure

from skcgcnn import CrystalGraphs, plotting
from skcgcnn.exceptions import StructureError

NAMES = [name for name in plotting.__all__ if name.islower()]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def calls(nacl):
    rng = np.random.default_rng(0)
    y = rng.normal(size=40)
    return {
        "parity": lambda ax: plotting.parity(y, y + 0.1, y_std=np.ones(40), unit="eV", ax=ax),
        "interval_reliability": lambda ax: plotting.interval_reliability(y, np.ones(40), ax=ax),
        "loss_curves": lambda ax: plotting.loss_curves({"training": [3, 2, 1]}, ax=ax),
        "embedding_map": lambda ax: plotting.embedding_map(rng.normal(size=(40, 5)), y, ax=ax),
        "crystal_sizes": lambda ax: plotting.crystal_sizes([1, 2, 2], ax=ax),
        "elements": lambda ax: plotting.elements({"Na": 1.0, "Cl": -1.0}, center=0, ax=ax),
        "crystal": lambda ax: plotting.crystal(nacl, np.arange(8.0), label="eV", ax=ax),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [r"$\frac{a}$", "$" + 2_000 * "{" + "x$", "$x$ and $", r"\$", "$a_1$"],
    ids=["broken", "nested", "two", "escaped", "math"],
)
def test_names_are_text_and_never_mathtext(name, nacl):
    rng = np.random.default_rng(0)
    y, rows = rng.normal(size=40), rng.normal(size=(40, 5))
    axes = [
        plotting.parity(y, y + 0.1, name=name, unit=name),
        plotting.interval_reliability(y, np.ones(40), label=name),
        plotting.loss_curves({name: [3, 2, 1]}),
        plotting.embedding_map(rows, y, name=name, unit=name),
        plotting.embedding_map(rows, np.where(y > 0, name, "other"), name=name),
        plotting.elements({"Na": 1.0}, label=name),
        plotting.crystal(nacl, np.arange(8.0), label=name),
    ]
    for ax in axes:
        ax.figure.canvas.draw()
        shown = [text.get_text() for text in ax.figure.findobj(mpl.text.Text)]
        named = [text for text in shown if name in text.replace(r"\$", "$") or name in text]
        assert named
        assert not any(mpl.cbook.is_math_text(text) for text in named)


def test_all_of_them_are_here(nacl):
    assert sorted(calls(nacl)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_axes(name, nacl):
    draw = calls(nacl)[name]
    new = draw(None)
    assert new.figure is plt.gcf()
    _, ax = plt.subplots()
    assert draw(ax) is ax
    assert ax.has_data()
    ax.figure.canvas.draw()


def test_parity_leaves_out_what_is_missing():
    ax = plotting.parity([0.0, 1.0, np.nan], [0.5, 1.5, 2.0], name="gap", unit="eV")
    assert ax.get_title() == "mean absolute error 0.5 eV"
    assert ax.get_ylabel() == "gap, predicted (eV)"
    assert len(ax.collections[0].get_offsets()) == 2


@pytest.mark.parametrize("off", [0.0, -0.25, 1e-7])
def test_errors_that_are_all_the_same_have_a_bar_that_can_be_seen(off):
    y = np.linspace(-1, 1, 7)
    (corner,) = plotting.parity(y, y + off).child_axes
    (bar,) = [patch for patch in corner.patches if patch.get_height()]
    low, high = corner.get_xlim()
    assert bar.get_height() == 7
    assert bar.get_x() <= off <= bar.get_x() + bar.get_width()
    assert bar.get_width() > 0.01 * (high - low)


def test_the_histogram_has_the_smaller_numbers():
    ax = plotting.parity([0.0, 1.0, 2.0], [0.5, 1.5, 2.0])
    (corner,) = ax.child_axes
    below, inside = (each.get_xticklabels()[0].get_fontsize() for each in (ax, corner))
    assert inside == corner.title.get_fontsize() < below


@pytest.mark.parametrize("sign", [1, -1])
def test_the_histogram_covers_no_points_near_the_diagonal(sign):
    x = np.random.default_rng(0).uniform(0, 1, 500)
    y = np.clip(x + sign * np.linspace(-0.1, 0.28, 500), 0, 1)
    far = np.linspace(0.65, 0.95, 20), np.linspace(0.05, 0.35, 20)  # points in the other corner
    x, y = np.append(x, far[::sign][0]), np.append(y, far[::sign][1])
    ax = plotting.parity(x, y)
    ax.figure.canvas.draw()
    (corner,) = ax.child_axes
    box, points = corner.get_window_extent(), ax.transData.transform(np.column_stack([x, y]))
    assert not any(box.contains(*point) for point in points)
    outer = ax.get_window_extent()
    assert outer.contains(box.x0, box.y0)
    assert outer.contains(box.x1, box.y1)


def test_reliability_of_right_deviations():
    errors = np.random.default_rng(0).normal(size=20_000)
    ax = plotting.interval_reliability(errors, np.ones(20_000), label="right")
    assert ax.get_aspect() == 1  # so that the diagonal is one
    (_, line) = ax.lines
    assert np.abs(line.get_xdata() - line.get_ydata()).max() < 0.02


def test_losses_below_zero_are_not_on_a_logarithmic_scale():
    assert plotting.loss_curves({"training": [1.0, 0.5]}, best_epoch=2).get_yscale() == "log"
    assert plotting.loss_curves({"training": [1.0, -0.5]}).get_yscale() == "linear"


def test_elements_stand_where_they_belong():
    ax = plotting.elements({"H": 1.0, "La": 2.0, "Og": 3.0})
    places = {text.get_text(): text.get_position() for text in ax.texts}
    assert (places["H"], places["La"], places["Og"], places["Fe"]) == (
        (0, 0),
        (2, 7),
        (17, 6),
        (7, 3),
    )


def luminance(color):
    """Return how bright a color looks, as the guidelines of accessible web pages define it."""
    rgb = np.array(mpl.colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("center", [None, 47])
def test_symbols_can_be_read_on_their_colors(center):
    ax = plotting.elements({Element.from_Z(z).symbol: z for z in range(1, 94)}, center=center)
    (image,) = ax.images
    assert len({text.get_color() for text in ax.texts}) == 3
    for text in ax.texts:
        column, row = text.get_position()
        value = image.get_array()[row, column]
        fill = "white" if value is np.ma.masked else image.cmap(image.norm(value))
        dark, light = sorted([luminance(text.get_color()), luminance(fill)])
        assert (light + 0.05) / (dark + 0.05) > 4, text.get_text()


def test_sites_are_colored_by_numbers(nacl):
    ax = plotting.crystal(nacl, [1.0] * 4 + [-1.0] * 4)
    colors = {tuple(np.round(patch.get_facecolor(), 3)) for patch in ax.patches}
    assert len({color for color in colors if color[0] > color[2]}) >= 1  # red
    assert len({color for color in colors if color[0] < color[2]}) >= 1  # blue


@pytest.mark.parametrize(
    ("embeddings", "method", "message"),
    [(np.ones((1, 3)), "pca", "1 crystals have"), (np.eye(3), "tsne", "'tsne'; expected")],
)
def test_maps_that_cannot_be_drawn(embeddings, method, message):
    with pytest.raises(ValueError, match=message):
        plotting.embedding_map(embeddings, method=method)


def test_parity_of_different_crystals():
    with pytest.raises(ValueError, match=r"y_true has shape \(2,\) and y_pred \(3,\)"):
        plotting.parity([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match=r"y_true has shape \(2,\) and y_std \(1,\)"):
        plotting.parity([1, 2], [1, 2], y_std=[1])


@pytest.mark.parametrize(
    ("errors", "y_std", "message"),
    [
        ([1, 2], [1, 2, 3], r"errors has shape \(2,\) and y_std \(3,\)"),
        ([np.nan], [1], "no crystal has both"),
        ([1, 2], [1, -0.1], r"y_std holds -0\.1; standard deviations are 0 or more"),
    ],
)
def test_deviations_that_are_none(errors, y_std, message):
    with pytest.raises(ValueError, match=message):
        plotting.interval_reliability(errors, y_std)


@pytest.mark.filterwarnings("error")
def test_deviations_that_are_hidden_or_zero():
    hidden = np.ma.masked_array([1.0, 1.0, 1.0], mask=[False, True, False])
    ax = plotting.interval_reliability([0.0, 0.0, 5.0], hidden)
    np.testing.assert_array_equal(ax.lines[-1].get_ydata(), 0.5)
    ax = plotting.interval_reliability([0.0, 1.0], [0.0, 0.0])
    np.testing.assert_array_equal(ax.lines[-1].get_ydata(), 0.5)


def test_maps_of_labels():
    rows = np.random.default_rng(0).normal(size=(20, 5))
    ax = plotting.embedding_map(rows, ["metal", "gap"] * 10, name="kind")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["gap", "metal"]


def test_two_features_make_a_map():
    rows = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    (points,) = plotting.embedding_map(rows).collections
    along, across = np.array(points.get_offsets()).T
    np.testing.assert_allclose(np.abs(np.diff(along)), np.abs(along[1] - along[0]))
    np.testing.assert_allclose(across, 0, atol=1e-12)  # they lie on a line


def test_a_crystal_of_a_file(cifs, nacl):
    pytest.importorskip("ase")
    ax = plotting.crystal(cifs[0])
    assert len(ax.patches)
    with pytest.raises(ValueError, match=r"site_values has shape \(3,\); expected one number for"):
        plotting.crystal(nacl, [1, 2, 3])
    with pytest.raises(StructureError):
        plotting.crystal([nacl])


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plotting.embedding_map(np.ones((5, 3)), [1, 2]), r"values has shape \(2,\)"),
        (lambda: plotting.embedding_map(np.ones((5, 1))), r"embeddings has shape \(5, 1\)"),
        (lambda: plotting.embedding_map(np.ones(5)), r"embeddings has shape \(5,\)"),
        (lambda: plotting.loss_curves({"validation": None}), "losses of 'validation'"),
        (lambda: plotting.parity([], []), "no crystal has both a true and a predicted number"),
    ],
)
def test_what_cannot_be_drawn(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_long_names_wrap():
    name = "formation_energy_per_atom_of_the_relaxed_crystal_at_zero_pressure"
    ax = plotting.parity([0.0, 1.0], [0.0, 1.0], name=name, unit="eV/atom")
    for label in (ax.get_xlabel(), ax.get_ylabel()):
        assert max(map(len, label.splitlines())) <= 40
        assert label.replace("\n", "").startswith(name)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_numbers_on_axes_do_not_overlap(scale):
    y = -1234.5 * scale + scale * np.linspace(0, 1, 9)
    ax = plotting.parity(y, y, name="energy")
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
    low, high = ax.get_window_extent().x0, ax.get_window_extent().x1
    shown = sorted((b for b in boxes if low <= (b.x0 + b.x1) / 2 <= high), key=lambda b: b.x0)
    assert len(shown) > 2
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(shown))


def test_a_legend_of_labels_is_beside_the_points():
    rng = np.random.default_rng(0)
    labels = rng.choice(["a rather long name of a class", "b", "c"], 200)
    ax = plotting.embedding_map(rng.normal(size=(200, 5)), labels)
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1


def test_counts_of_elements_go_by_their_logarithm():
    ax = plotting.elements({"O": 1000, "H": 10, "He": 1, "Li": 0}, log=True)
    (image,) = ax.images
    shades = image.norm(np.array([1.0, 10.0, 1000.0]))
    np.testing.assert_allclose(shades, [0, 1 / 3, 1], atol=1e-12)
    assert np.isfinite(image.get_array().compressed()).sum() == 3
    ax.figure.canvas.draw()
    (image,) = plotting.elements({"O": 5, "H": 5}, log=True).images
    assert image.norm.vmin == 5 < image.norm.vmax
    with pytest.raises(ValueError, match="log=True or center"):
        plotting.elements({"O": 1.0}, log=True, center=0)


def test_graphs_where_they_can_be_drawn(nacl):
    graphs = CrystalGraphs.from_structures([nacl, nacl])
    ax = plotting.crystal_sizes(graphs)
    assert sum(patch.get_height() for patch in ax.patches) == 2
    iron = Structure(Lattice.cubic(2.5), ["Fe"], [[0, 0, 0]])
    ax = plotting.crystal_sizes(CrystalGraphs.from_structures([iron, iron, nacl]))
    assert [patch.get_height() for patch in ax.patches] == [2, 0, 1]
    with pytest.raises(TypeError, match=r"pass est.transform\(graphs\)"):
        plotting.embedding_map(graphs)
    with pytest.raises(TypeError, match="expected numbers by symbol"):
        plotting.elements(graphs)


def test_losses_by_epoch():
    ax = plotting.loss_curves({"training": [1.0, 0.5, 0.03], "validation": [0.4]}, best_epoch=2)
    training, validation, best = ax.lines
    assert training.get_xydata().tolist() == [[1, 1.0], [2, 0.5], [3, 0.03]]
    # A line of one point cannot be seen.
    assert (training.get_marker(), validation.get_marker()) == ("None", "o")
    assert set(best.get_xdata()) == {2}
    low, high = ax.get_ylim()
    ticks = [tick for tick in ax.get_yticks() if low <= tick <= high]
    np.testing.assert_allclose(ticks, [0.05, 0.1, 0.2, 0.5, 1.0])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")


def test_a_fit_without_an_epoch_has_curves_without_points():
    ax = plotting.loss_curves({"training": [2.0, 1.0], "validation": []})
    assert [len(line.get_xdata()) for line in ax.lines] == [2, 0]


def test_two_epochs_are_a_line_and_one_a_point():
    two, one = (plotting.loss_curves([1.0, 0.5][:n]).lines[0].get_marker() for n in (2, 1))
    assert (two, one) == ("None", "o")


def test_epochs_are_whole_numbers():
    ax = plotting.loss_curves([3.0, 2.0, 1.0])
    assert all(float(tick).is_integer() for tick in ax.get_xticks())
