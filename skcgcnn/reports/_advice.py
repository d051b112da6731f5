"""What to try next, where something about a training run looks wrong."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FEW_VALIDATION = 30
_OVERFIT = 5.0
# The validation loss is flat where it is so near to its lowest, for so long a share of the epochs,
# while the training loss goes on to fall to less than this share.
_FLAT, _LONG, _FALLEN = 0.03, 0.3, 0.7
_POOR_R2 = 0.5
_RARE = 0.05
_OUTSIDE = 0.05


@dataclass(frozen=True)
class Facts:
    """What advice depends on.

    Attributes
    ----------
    n_train, n_val, n_test : int
        Crystals in each part.
    train_loss, val_loss : float or None
        At the best epoch.
    from_scratch : bool
        Whether the network began without another model.
    flat_from : int or None
        The epoch from which on only the training loss fell, see `flat_from`.
    r2 : dict of str to float
        Of the numbers, on the test crystals, or those of all folds.
    accuracy, most_frequent : dict of str to float
        Of the classes there, and the share of the most frequent class there.
    rarest : dict of str to float
        Share of the rarest class of the training crystals.
    outside : float or None
        Share of the test crystals that lie outside of what was learned.
    n_folds : int
        Folds of the cross-validation in which all `n_test` crystals are tested; 0 where it is
        those of a test part.
    """

    n_train: int
    n_val: int
    n_test: int
    train_loss: float | None
    val_loss: float | None
    from_scratch: bool
    flat_from: int | None
    r2: dict[str, float]
    accuracy: dict[str, float]
    most_frequent: dict[str, float]
    rarest: dict[str, float]
    outside: float | None
    n_folds: int = 0


def flat_from(training: Sequence[float], validation: Sequence[float]) -> int | None:
    """Return the epoch from which on the validation loss stayed flat while training went on.

    Returns
    -------
    int or None
        None where both fell, or there is no validation.

    Examples
    --------
    >>> flat_from([9, 6, 5, 4, 3, 2, 1], [9, 8, 8, 8, 8, 8, 8])
    2
    >>> flat_from([9, 6, 5, 4, 3, 2, 1], [9, 8, 7, 6, 5, 4, 3])
    """
    if len(validation) != len(training) or not len(training):
        return None
    nearly = (1 + _FLAT) * min(validation)
    first = next((i for i, loss in enumerate(validation) if loss <= nearly), None)
    if first is None or len(training) - 1 - first < _LONG * len(training):
        return None
    return first + 1 if training[-1] < _FALLEN * training[first] else None


def advice(facts: Facts) -> list[str]:
    """Return what to try next.

    Returns
    -------
    list of str
        A sentence or two for everything that looks wrong.
    """
    return [*_of_sizes(facts), *_of_losses(facts), *_of_targets(facts), *_of_test_crystals(facts)]


def _of_sizes(facts: Facts) -> Iterator[str]:
    if not facts.n_val:
        yield "Without validation crystals the last epoch is kept, whether it is the best or not."
    elif facts.n_val < _FEW_VALIDATION:
        yield (
            f"{facts.n_val} validation crystals decide which epoch is best, so the choice is "
            "noisy. Use a larger --val-ratio."
        )
    if facts.n_test < _FEW_VALIDATION:
        yield (
            f"{facts.n_test} crystals say little about the error, though all are tested."
            if facts.n_folds
            else f"{facts.n_test} test crystals say little about the error. With --folds 5 every "
            "crystal is tested."
        )


def _of_losses(facts: Facts) -> Iterator[str]:
    train, val = facts.train_loss, facts.val_loss
    if facts.flat_from is not None:
        yield (
            f"From epoch {facts.flat_from} on, the validation loss fell no further while the "
            "training loss did: the network overfits. More epochs do not help; more crystals do, "
            "and a larger --dropout or --weight-decay may."
        )
    if train is not None and val is not None and val > _OVERFIT * train > 0:
        text = (
            f"The validation loss ({val:.3g}) is {val / train:.0f} times the training loss "
            f"({train:.3g}): the network knows its training crystals by heart. More crystals help "
            "most"
        )
        start = "; a model to start from (--init-from) helps with few"
        yield f"{text}{start if facts.from_scratch else ''}."


def _of_targets(facts: Facts) -> Iterator[str]:
    where = f"crystals of {facts.n_folds} folds" if facts.n_folds else "test crystals"
    for name, value in facts.r2.items():
        if value < _POOR_R2:
            yield (
                f"R² of {name} is {value:.2f} on the {where}, where their mean has 0. See whether "
                "they are like the training crystals, and whether the values are right (units, "
                "totals or per atom, signs)."
            )
    for name, value in facts.accuracy.items():
        if value <= facts.most_frequent[name] < 1:
            yield (
                f"{value:.0%} of the labels of {name} are right; always saying the most frequent "
                f"one would give {facts.most_frequent[name]:.0%}. See whether the crystals can "
                "tell it; beside numbers (--task multi), try a larger --cls-weight."
            )
    for name, value in facts.rarest.items():
        if value < _RARE:
            yield (
                f"The rarest class of {name} has {value:.1%} of the training crystals. In Python, "
                'sample_weight gives it more weight, as does class_weight="balanced" of a '
                "CGCNNClassifier."
            )


def _of_test_crystals(facts: Facts) -> Iterator[str]:
    if facts.outside is not None and facts.outside > _OUTSIDE:
        yield (
            f"{facts.outside:.0%} of the test crystals lie outside of what was learned: they are "
            "farther from their nearest training crystal than 99 % of those are from theirs."
        )
