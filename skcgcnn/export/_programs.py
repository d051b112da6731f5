"""Programs that predict without skcgcnn: by torch.export, and as ONNX."""

import json
import warnings
from os import PathLike
from typing import Any

import numpy as np
import torch

from skcgcnn._files import atomic_write
from skcgcnn._lazy import needed
from skcgcnn._version import __version__
from skcgcnn.estimators import BaseCGCNN
from skcgcnn.export._network import PredictingNetwork
from skcgcnn.nn import GraphBatch


def export_program(est: BaseCGCNN) -> torch.export.ExportedProgram:
    """Return a fitted estimator as a program of `torch.export`, for batches of any size.

    Parameters
    ----------
    est : fitted estimator
        What predicts.

    Returns
    -------
    torch.export.ExportedProgram
        Takes the tensors of a `skcgcnn.nn.GraphBatch`; returns numbers in units of y and
        probabilities, see `PredictingNetwork`. ``torch.export.save`` writes it. One whose
        precision is "float64" takes batches of that type:
        ``GraphBatch.from_graphs(graphs, dtype=torch.float64)``.

    Examples
    --------
    >>> from skcgcnn import CGCNNRegressor
    >>> from skcgcnn.datasets import load_sample_regression
    >>> from skcgcnn.nn import GraphBatch
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> est = CGCNNRegressor(max_epochs=2, random_state=0).fit(cifs, energies)
    >>> program = export_program(est).module()
    >>> batch = GraphBatch.from_graphs(est.get_transformer().transform(cifs[:7]))
    >>> program(*batch.tensors()).shape
    torch.Size([7, 1])
    """
    return _traced(PredictingNetwork(est))


def _traced(network: PredictingNetwork) -> torch.export.ExportedProgram:
    example = network.example()
    any_length = {0: torch.export.Dim.AUTO}
    with torch.no_grad():
        # The tensors come as one tuple, which is the module's *batch.
        return torch.export.export(network, example, dynamic_shapes=((any_length,) * len(example),))


def _softplus(rows: torch.Tensor) -> torch.Tensor:
    return rows.relu() + rows.abs().neg().exp().log1p()


def export_onnx(est: BaseCGCNN, path: str | PathLike[str]) -> None:
    """Write a fitted estimator as an ONNX file, which ONNX Runtime, for one, predicts with.

    Parameters
    ----------
    est : fitted estimator
        What predicts.
    path : path
        Where to write; ``.onnx`` is the usual suffix. Inputs have the names and shapes of
        `skcgcnn.nn.GraphBatch`, the output is ``prediction``. Its columns, and the options with
        which graphs are to be made, stand in the metadata ``columns`` and ``graph_options``.

    Raises
    ------
    ImportError
        Without the packages onnx and onnxscript (``pip install "skcgcnn[onnx]"``).
    ValueError
        If a target is so small that ONNX Runtime would take its mean for 0.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from skcgcnn import CGCNNRegressor
    >>> from skcgcnn.datasets import load_sample_regression
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> est = CGCNNRegressor(max_epochs=2, random_state=0).fit(cifs, energies)
    >>> with TemporaryDirectory() as folder:
    ...     export_onnx(est, f"{folder}/model.onnx")
    """
    with needed("export_onnx needs onnx", "skcgcnn[onnx]"):
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it

    network = PredictingNetwork(est)
    constants = np.abs([*est.target_mean_, *est.target_scale_])
    # As float32, such as optimizers look at constants, they are 0.
    if ((constants > 0) & (constants < np.finfo(np.float32).tiny)).any():
        raise ValueError(
            "y is too small for ONNX: its mean and scale would be taken for 0. Multiply y, such as "
            "by 1e40, and fit again"
        )
    n_inputs = len(network.example())
    program = _traced(network)
    with warnings.catch_warnings():
        # Of torch's exporter, about its own code.
        warnings.simplefilter("ignore")
        made: Any = torch.onnx.export(
            # ONNX Runtime has this function for float32 alone.
            program.run_decompositions({torch.ops.aten.softplus.default: _softplus}),
            # The optimizer takes what is within 1e-8 of 0 for 0, and within 1e-5 of 1 for 1: the
            # mean of small targets. Whoever runs the file optimizes it, and keeps the numbers.
            optimize=False,
            input_names=list(GraphBatch._fields[:n_inputs]),
            output_names=["prediction"],
            verbose=False,
        )
    model = made.model_proto
    facts = {
        "columns": json.dumps(network.columns),
        "graph_options": json.dumps(vars(est.graph_options_)),
        "skcgcnn": __version__,
    }
    onnx.helper.set_model_props(model, facts)
    with atomic_write(path, "wb") as file:
        file.write(model.SerializeToString())
