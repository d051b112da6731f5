"""The transformer from crystals to what a universal potential says of them."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from hashlib import blake2b
from os import PathLike
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from skcgcnn._parallel import streaming_parallel, task
from skcgcnn._progress import Progress
from skcgcnn._sklearn import (
    N_JOBS,
    Documented,
    HasMethods,
    StrOptions,
    as_memory,
    crystal_tags,
)
from skcgcnn._warnings import warn_caller
from skcgcnn.crystals import (
    Crystal,
    describe_source,
    list_sources,
    split_numbers,
    told_units,
    try_to_read,
)
from skcgcnn.exceptions import StructureError, TransientReadError, describe_failures
from skcgcnn.features._chgnet import CHGNetPotential, PotentialOutput

FloatArray = npt.NDArray[np.float64]


class Potential(Protocol):
    """A potential that crystals can be asked of."""

    name: str
    n_features: int

    def compute(self, crystals: Sequence[Crystal]) -> list[PotentialOutput | StructureError]:
        """Return what it says of each crystal, or why it says nothing."""


POTENTIALS: dict[str, Callable[[], Potential]] = {"chgnet": CHGNetPotential}

# Crystals per chunk: some seconds of work, so that the progress moves.
_CHUNK = 100
# The rows of this process, 0.6 kB each.
_MOST_ROWS = 100_000
_ROWS: dict[str, FloatArray] = {}
_NUMBERS = ("energy", "moment_mean", "moment_max")


class _Rows(NamedTuple):
    """Rows of features of some crystals; NaN where there is a failure, at these positions."""

    values: FloatArray
    failures: list[tuple[int, str]]


@dataclass(eq=False, repr=False)
class PotentialFeatures(Documented, TransformerMixin, BaseEstimator):
    """Turn crystals into what a universal potential has learned of them.

    The features of a crystal are its energy in eV/atom, the mean and the largest magnetic moment
    of its sites in Bohr magnetons (``chgnet_energy``, ``chgnet_moment_mean``,
    ``chgnet_moment_max``), and the 64 numbers per site from which CHGNet computes energies, their
    mean (``chgnet_0`` to ``chgnet_63``). A potential that was trained on a million crystals knows
    much of what few labels leave open: with 60 or 300 crystals a Gaussian process on these features
    beats any network that starts from nothing.

    Parameters
    ----------
    potential : {"chgnet"}, default="chgnet"
        The potential. "chgnet" is CHGNet 0.3.0 (B. Deng et al., Nat. Mach. Intell. 5, 1031
        (2023)), and needs ``pip install skcgcnn[potentials]``. It computes on the CPU.
    keep_crystals : bool, default=False
        Whether to return a frame with the crystals in the first column and the features beside
        them. The estimators of this library take such a frame, and give the features to the head
        of the network.
    memory : None, str, path or joblib.Memory, default=None
        A folder in which features are cached, chunk by chunk. The key is the content of the
        crystals, not their paths. What this process has computed it remembers without a folder.
        Use only folders that you trust: the files in it are pickles, which can run code.
    n_jobs : int, default=None
        Number of parallel workers, as in scikit-learn.
    on_error : {"raise", "nan"}, default="raise"
        What to do with crystals that cannot be read, or that the potential cannot compute: those
        with partially occupied sites, and those with an atom farther than 6 Å from all others.
        "raise" raises one `StructureError` with all of them; "nan" warns, and their features are
        NaN.
    verbose : int, default=0
        1 shows progress.

    Attributes
    ----------
    n_features_out_ : int
        Number of features.

    Examples
    --------
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from sklearn.gaussian_process.kernels import RBF, WhiteKernel
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skcgcnn.features import PotentialFeatures
    >>> model = make_pipeline(
    ...     PotentialFeatures("chgnet"),
    ...     StandardScaler(),
    ...     GaussianProcessRegressor(RBF(10) + WhiteKernel(0.1), normalize_y=True),
    ... )
    >>> model.fit(cifs, y).predict(others)  # doctest: +SKIP
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "potential": [StrOptions(set(POTENTIALS)), HasMethods("compute")],
        "keep_crystals": ["boolean"],
        "memory": [None, str, PathLike, HasMethods("cache")],
        "n_jobs": N_JOBS,
        "on_error": [StrOptions({"raise", "nan"})],
        "verbose": ["verbose"],
    }

    potential: Any = "chgnet"
    _: KW_ONLY
    keep_crystals: bool = False
    memory: Any = None
    n_jobs: int | None = None
    on_error: str = "raise"
    verbose: int = 0

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters; there is nothing to learn.

        Parameters
        ----------
        X : sequence of crystals
            Ignored.
        y : None
            Ignored.

        Returns
        -------
        self : PotentialFeatures

        Raises
        ------
        ImportError
            If the package of the potential is not installed.
        """
        self._validate_params()
        self.n_features_out_ = len(_NUMBERS) + _make(self.potential).n_features
        return self

    def transform(self, X: Any) -> Any:
        """Return the features of crystals.

        Parameters
        ----------
        X : sequence of paths, pymatgen Structures or ASE Atoms
            See `CrystalGraphTransformer.transform`. Columns of numbers in a frame stay with the
            crystals where `keep_crystals` is True, and are left out otherwise.

        Returns
        -------
        ndarray of shape (n_crystals, n_features), or DataFrame with `keep_crystals`
            In the order of X and of `get_feature_names_out`.

        Raises
        ------
        ImportError
            If the package of the potential is not installed.
        StructureError
            If crystals cannot be read or computed and ``on_error="raise"``.
        """
        self._validate_params()
        units = told_units(X, "X")
        X, numbers, names = split_numbers(X, allow_missing=self.on_error == "nan")
        sources = list_sources(X, check=self.on_error == "raise")
        features = self._rows(sources)
        if not self.keep_crystals:
            return features
        import pandas as pd

        crystals = np.empty(len(sources), dtype=object)
        crystals[:] = sources
        columns = [*names, *self.get_feature_names_out()]
        values = np.column_stack([numbers, features]) if names else features
        frame = pd.DataFrame(values, columns=columns)
        frame.insert(0, "crystal", crystals)
        frame.attrs["units"] = units
        return frame

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return the names of the features.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str
        """
        potential = _make(self.potential)
        word = potential.name.split()[0].lower()
        more = [f"{word}_{i}" for i in range(potential.n_features)]
        return np.array([*(f"{word}_{n}" for n in _NUMBERS), *more], dtype=object)

    def _rows(self, sources: Sequence[Any]) -> FloatArray:
        n_columns = len(_NUMBERS) + _make(self.potential).n_features
        memory = as_memory(self.memory)
        starts = range(0, len(sources), _CHUNK)
        tasks = (
            task(_read_and_compute)(sources[start : start + _CHUNK], self.potential, memory)
            for start in starts
        )
        found, failures = [np.empty((0, n_columns))], []
        with Progress(len(sources), "crystal", enabled=bool(self.verbose)) as progress:
            for start, rows in zip(starts, streaming_parallel(self.n_jobs)(tasks), strict=True):
                found.append(rows.values)
                for place, why in rows.failures:
                    name = describe_source(sources[start + place], start + place)
                    failures.append((name, why))
                progress.update(len(rows.values))
        if failures and self.on_error == "raise":
            raise StructureError.from_failures(failures, len(sources), into="features")
        if failures:
            warn_caller(describe_failures(failures, len(sources), into="features"))
        return np.concatenate(found)

    def __sklearn_tags__(self) -> Any:
        return crystal_tags(super().__sklearn_tags__())


def potential_of(names: Sequence[str]) -> str | None:
    """Return the name of the potential of which all of some features are, if there is one."""
    of_all = (each for each in POTENTIALS if all(name.startswith(f"{each}_") for name in names))
    return next(of_all, None) if names else None


def _make(potential: Any) -> Potential:
    made: Potential = POTENTIALS[potential]() if isinstance(potential, str) else potential
    return made


def _read_and_compute(
    sources: Sequence[Any], potential: Any, memory: joblib.Memory | None
) -> _Rows:
    """Return the rows of some crystals; those that are known are not computed again."""
    name = _make(potential).name
    read = [try_to_read(source) for source in sources]
    keys = [_key(crystal, name) for crystal in read]
    unknown = [place for place, key in enumerate(keys) if key not in _ROWS]
    crystals, new = [read[place] for place in unknown], [keys[place] for place in unknown]
    compute: Any = _compute
    # What cannot be read today may be read tomorrow.
    if memory is not None and not any(isinstance(each, TransientReadError) for each in crystals):
        compute = memory.cache(_compute, ignore=["crystals", "potential"], verbose=0)
    computed = compute(crystals, new, potential) if crystals else _Rows(np.empty((0, 0)), [])
    rows = dict(zip(unknown, computed.values, strict=True))
    failures = [(unknown[place], why) for place, why in computed.failures]
    failed = {place for place, _ in failures}
    values = np.array([rows[i] if i in rows else _ROWS[key] for i, key in enumerate(keys)])
    for place, row in rows.items():
        if place not in failed:
            _ROWS[keys[place]] = row
    while len(_ROWS) > _MOST_ROWS:
        del _ROWS[next(iter(_ROWS))]  # the oldest
    return _Rows(values, failures)


def _compute(
    crystals: list[Crystal | StructureError],
    keys: list[str],  # what joblib looks the rows up by
    potential: Any,
) -> _Rows:
    made = _make(potential)
    values = np.full((len(crystals), len(_NUMBERS) + made.n_features), np.nan)
    failures = [(i, str(error)) for i, error in enumerate(crystals) if _is_error(error)]
    places = [i for i, crystal in enumerate(crystals) if isinstance(crystal, Crystal)]
    outputs = made.compute([crystal for crystal in crystals if isinstance(crystal, Crystal)])
    for place, output in zip(places, outputs, strict=True):
        if isinstance(output, StructureError):
            failures.append((place, str(output)))
            continue
        moments = output.moments
        values[place] = [output.energy, moments.mean(), moments.max(), *output.features]
    return _Rows(values, sorted(failures))


def _is_error(read: Crystal | StructureError) -> bool:
    return isinstance(read, StructureError)


def _key(read: Crystal | StructureError, potential: str) -> str:
    """Return what the row of a crystal depends on."""
    digest = blake2b(potential.encode(), digest_size=20)
    if isinstance(read, Crystal):
        for array in (read.lattice, read.coords):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(repr(read.species).encode())
    else:
        digest.update(str(read).encode())
    return digest.hexdigest()
