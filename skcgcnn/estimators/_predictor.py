"""From crystals to predictions, in pieces where there are many."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from joblib import effective_n_jobs
from sklearn.utils.validation import check_is_fitted

from skcgcnn._parameter_lists import with_net_params
from skcgcnn._warnings import warn_caller
from skcgcnn.estimators._features import FeatureMaker
from skcgcnn.estimators._targets import FloatArray, TargetDecoder, readable
from skcgcnn.estimators._transfer import with_architecture
from skcgcnn.graphs import (
    CHUNK,
    CrystalGraphs,
    CrystalGraphTransformer,
    ElementFeatures,
    crystals_in_memory,
    load_element_features,
    read_ahead,
)
from skcgcnn.nn import GraphDataset, at_most
from skcgcnn.tasks import Prediction, mean_score


class Predictor(FeatureMaker):
    """What the estimators share: predictions of a fitted network, or of several."""

    def _params(self, *, reset: bool) -> dict[str, Any]:
        """Return the parameters, flat; sizes that are not set are those of `init_from`."""
        fitted = None if reset else self.fitted_params_
        return with_architecture(with_net_params(self.get_params(deep=False)), fitted)

    def _to_graphs(self, X: Any, *, reset: bool = False) -> CrystalGraphs:
        """Return the graphs of X: the one place where an estimator looks at X.

        `reset` is True for a fit that starts from scratch.
        """
        if isinstance(X, CrystalGraphs):
            return X
        return (self._own_transformer(reset=True) if reset else self.get_transformer()).transform(X)

    def get_transformer(self) -> CrystalGraphTransformer:
        """Return the transformer that makes the graphs for this estimator.

        Returns
        -------
        CrystalGraphTransformer
            With the parameters of this estimator; once it is fitted, with those of the graphs
            that it was fitted on.

        Raises
        ------
        ValueError
            If it was fitted on graphs with other `atom_features` than its own.
        """
        transformer = self._own_transformer(reset=not hasattr(self, "net_"))
        if not hasattr(self, "net_"):
            return transformer
        fitted = self.graph_options_
        known = {
            name: getattr(fitted, name)
            for name in ("max_num_nbr", "radius", "neighbor_ties")
            if getattr(fitted, name) is not None
        }
        merged = {} if fitted.merge_tol is None else {"merge_tol": fitted.merge_tol or None}
        transformer.set_params(**known, **merged)
        if set(fitted.differences(transformer.graph_options())) - {"global_features"}:
            raise ValueError(
                f"{type(self).__name__} was fitted on graphs with other atom_features than its "
                "own; set atom_features to those of the fit, or pass graphs that are made with them"
            )
        return transformer

    def _own_transformer(self, *, reset: bool) -> CrystalGraphTransformer:
        transformer = CrystalGraphTransformer()
        params = self._params(reset=reset)
        shared = params.keys() & transformer.get_params().keys()
        transformer.set_params(**{name: params[name] for name in shared})
        return transformer

    def _graph_chunks(self, X: Any) -> Generator[CrystalGraphs]:
        """Yield the graphs of X; a long list of crystals is read while the network runs."""
        if isinstance(X, CrystalGraphs) and (size := crystals_in_memory(X)) < len(X):
            for start in range(0, len(X), size):
                yield X[start : start + size]
            return
        if isinstance(X, CrystalGraphs) or not hasattr(X, "__len__") or len(X) <= CHUNK:
            yield self._to_graphs(X)
            return
        # More threads than cores would wait for each other.
        with at_most(max(1, torch.get_num_threads() - effective_n_jobs(self.n_jobs))):
            yield from read_ahead(self.get_transformer().stream(X))

    def _member_outputs(self, X: Any) -> FloatArray:
        """Return the outputs of each network, of shape (n_members, n_crystals, n_outputs)."""
        return np.concatenate(list(self._output_chunks(X)), axis=1)

    def _output_chunks(self, X: Any) -> Iterator[FloatArray]:
        """Yield the outputs of each network for some crystals at a time, in one pass over all."""
        check_is_fitted(self, "net_")
        table = self._element_table() if self.elements_ is not None else None
        seen, unseen = set(self.elements_ or ()), set[int]()
        with closing(self._graph_chunks(X)) as chunks:
            for graphs in chunks:
                if table is not None:
                    unseen |= table.elements_in(graphs.used_features())[0] - seen
                yield self._forward(graphs)
        if unseen:
            self._warn_of(unseen)

    def _elements_of(self, graphs: CrystalGraphs) -> tuple[int, ...] | None:
        table = self._element_table()
        return (
            None if table is None else tuple(sorted(table.elements_in(graphs.used_features())[1]))
        )

    def _element_table(self) -> ElementFeatures | None:
        """Return the features of the elements, if the graphs of the fit are made with them."""
        if self.graph_options_.atom_features is None:
            return None
        table = load_element_features(self.atom_features)
        return table if table.fingerprint == self.graph_options_.atom_features else None

    def _warn_of(self, elements: set[int]) -> None:
        from pymatgen.core import Element

        names = ", ".join(Element.from_Z(z).symbol for z in sorted(elements))
        warn_caller(
            f"{type(self).__name__} was trained on no crystal with {names}; predictions for such "
            "crystals are extrapolations"
        )

    def _decoder(self) -> TargetDecoder:
        return TargetDecoder(self.targets_, self.y_ndim_)

    def _predict_values(self, X: Any) -> npt.NDArray[Any]:
        outputs = self._member_outputs(X)  # says so where it is not fitted
        return self._decoder().values(outputs)

    def _predict_proba(self, X: Any) -> FloatArray:
        outputs = self._member_outputs(X)
        return self._decoder().proba(outputs)

    def _predict_targets(self, X: Any) -> list[Prediction]:
        outputs = self._member_outputs(X)
        return self._decoder().decode(outputs)

    def _predict_target_chunks(self, X: Any) -> Iterator[list[Prediction]]:
        """Yield predictions for some crystals at a time: for more than fit into memory."""
        for outputs in self._output_chunks(X):
            yield self._decoder().decode(outputs)

    def _score(
        self, predicted: npt.NDArray[Any], columns: Sequence[npt.NDArray[Any]], sample_weight: Any
    ) -> float:
        """Return the mean score of predictions that are there; `columns` are those of the truth."""
        known, weights = readable(predicted, columns[0], sample_weight)
        true = [column[known] for column in columns]
        guessed = predicted[known].reshape(known.sum(), -1).T
        return mean_score(self.targets_, true, list(guessed), weights)

    def _forward(self, graphs: CrystalGraphs) -> FloatArray:
        """Return the outputs of each network; NaN for crystals that could not be read."""
        self._check_same_options(graphs)
        n_outputs = sum(target.n_outputs for target in self.targets_)
        nets = [self.net_, *self.more_nets_]
        outputs = np.full((len(nets), len(graphs), n_outputs), np.nan)
        readable = graphs.n_sites > 0
        if readable.any():
            usable = GraphDataset(graphs if readable.all() else graphs[readable])
            for index, net in enumerate(nets):
                outputs[index, readable] = net.outputs(usable)
        # NaN is what could not be read, and nothing else.
        if (lost := np.isnan(outputs[:, readable]).any(axis=(0, 2))).any():
            row = int(np.flatnonzero(readable)[lost.argmax()])
            raise ValueError(
                f"the prediction for crystal {row} is not a number: weights of the model are too "
                "large, as after a fit whose loss grew"
            )
        return outputs
