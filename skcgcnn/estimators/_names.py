"""Names of parameters that an estimator does not have."""

from typing import Any, Self

from sklearn.base import BaseEstimator

from skcgcnn._parameter_lists import OF_ESTIMATORS, unknown_parameter


class KnownNames(BaseEstimator):
    """Tells which parameter may be meant by a name that is none."""

    def __new__(cls, *args: Any, **params: Any) -> Self:  # noqa: ARG004 - of subclasses
        """Refuse names that are no parameter's, and tell which one may be meant."""
        known = cls._get_param_names()
        for name in params:
            # A subclass may take what it likes.
            if name not in known and cls.__name__ in OF_ESTIMATORS:
                raise TypeError(unknown_parameter(name, cls.__name__, known))
        instance: Self = super().__new__(cls)
        return instance

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params
            As for the constructor.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        known = self._get_param_names()
        for name in params:
            if "__" not in name and name not in known:
                raise ValueError(unknown_parameter(name, type(self).__name__, known))
        super().set_params(**params)
        return self
