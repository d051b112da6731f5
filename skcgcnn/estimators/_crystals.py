"""From X to graphs, as an estimator reads crystals."""

from collections.abc import Generator
from contextlib import closing
from typing import Any

import torch
from joblib import effective_n_jobs

from skcgcnn._parameter_lists import with_net_params
from skcgcnn._recipes import is_auto
from skcgcnn._text import listed
from skcgcnn.estimators._transfer import read_source, sizes_of, with_architecture
from skcgcnn.estimators._units import check_units_beside
from skcgcnn.features import potential_of
from skcgcnn.graphs import (
    CHUNK,
    CrystalGraphs,
    CrystalGraphTransformer,
    crystals_in_memory,
    read_ahead,
)
from skcgcnn.modelfiles import ModelState
from skcgcnn.nn import at_most

# Parameters that hold what may be changed in place.
_CONTAINERS = ("callbacks", "net_params")


def flat_params(est: Any, *, reset: bool, source: ModelState | None = None) -> dict[str, Any]:
    """Return parameters, flat; sizes that are not set are those of `init_from`.

    `reset` is True for a new fit, whose start is `source`, or is read anew.
    """
    params = est.get_params(deep=False)
    # As they are now: a fit that goes on sees what was changed in them since.
    params = with_net_params(params | {name: _contents(params[name]) for name in _CONTAINERS})
    if est.init_from is None or (reset and is_auto(est.init_from)):
        return params  # what "auto" starts from has the usual sizes
    if reset:
        return with_architecture(params, sizes_of(source or read_source(est.init_from)))
    return with_architecture(params, est.fitted_params_)


def _contents(value: Any) -> Any:
    """Return containers anew, with the same objects in them."""
    if isinstance(value, dict):
        return {name: _contents(each) for name, each in value.items()}
    return type(value)(map(_contents, value)) if type(value) in (list, tuple) else value


def new_transformer(est: Any, *, reset: bool) -> CrystalGraphTransformer:
    """Return the transformer of the parameters of an estimator."""
    transformer = CrystalGraphTransformer()
    params = flat_params(est, reset=reset)
    shared = params.keys() & transformer.get_params().keys()
    transformer.set_params(**{name: params[name] for name in shared})
    return transformer


def fitted_transformer(est: Any) -> CrystalGraphTransformer:
    """Return the transformer that makes graphs as those of the fit."""
    transformer, fitted = new_transformer(est, reset=False), est.graph_options_
    transformer.set_params(**fitted.parameters())
    if set(fitted.differences(transformer.graph_options())) - {"global_features"}:
        raise ValueError(
            f"{type(est).__name__} was fitted on graphs with other atom_features than its "
            "own; set atom_features to those of the fit, or pass graphs that are made with them"
        )
    return transformer


def make_graphs(est: Any, X: Any, *, reset: bool) -> CrystalGraphs:
    """Return the graphs of X; a fit from scratch makes them by its parameters."""
    if isinstance(X, CrystalGraphs):
        return X
    maker = new_transformer(est, reset=True) if reset else fitted_transformer(est)
    return maker.transform(X)


def checked_chunks(est: Any, X: Any) -> Generator[CrystalGraphs]:
    """Yield graphs that are made as those of the fit; a long list is read while others compute."""
    with closing(_chunks(est, X)) as chunks:
        for graphs in chunks:
            check_same_options(est, graphs)
            yield graphs


def _chunks(est: Any, X: Any) -> Generator[CrystalGraphs]:
    if isinstance(X, CrystalGraphs):
        if (size := crystals_in_memory(X)) >= len(X):
            yield X
        else:
            yield from (X[start : start + size] for start in range(0, len(X), size))
    elif not hasattr(X, "__len__") or len(X) <= CHUNK:
        yield est._to_graphs(X)
    else:
        # More threads than cores would wait for each other.
        with at_most(max(1, torch.get_num_threads() - effective_n_jobs(est.n_jobs))):
            yield from read_ahead(fitted_transformer(est).stream(X))


def check_same_options(est: Any, graphs: CrystalGraphs) -> None:
    """Refuse graphs that are made otherwise than those of the fit."""
    fitted = est.graph_options_
    wanted, given = fitted.global_features, graphs.options.global_features
    if len(graphs) and wanted != given:
        potential = potential_of([name for name in wanted if name not in given])
        hint = f"; PotentialFeatures({potential!r}, keep_crystals=True) makes one"
        raise ValueError(
            f"{type(est).__name__} was fitted with these numbers beside each crystal: "
            f"{listed(wanted)}; X has {listed(given)}. Give a frame "
            f"with the columns of the fit, in their order{hint if potential else ''}"
        )
    if len(graphs):
        check_units_beside(type(est).__name__, fitted, graphs.options)
    if len(graphs) and (different := fitted.differences(graphs.options)):
        raise ValueError(
            f"X holds graphs that were made with {graphs.options.describe(different)}, but "
            f"{type(est).__name__} was fitted on graphs with {fitted.describe(different)}; "
            "make them with get_transformer() of the fitted estimator"
        )
