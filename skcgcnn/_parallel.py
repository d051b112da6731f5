"""Workers of joblib whose results come as they are done."""

from joblib import Parallel


def streaming_parallel(n_jobs: int | None, *, ordered: bool = True) -> Parallel:
    """Return joblib's workers; results come one by one where the backend can do that.

    Parameters
    ----------
    n_jobs : int or None
        Number of workers, see joblib.
    ordered : bool, default=True
        Whether results come in the order of their tasks.

    Returns
    -------
    joblib.Parallel
    """
    try:
        return Parallel(n_jobs=n_jobs, return_as="generator" if ordered else "generator_unordered")
    except ValueError:  # a backend without generators, such as Ray's
        return Parallel(n_jobs=n_jobs)
