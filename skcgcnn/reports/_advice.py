"""What to try next, where something about a training run looks wrong."""

from collections.abc import Iterator
from dataclasses import dataclass

_FEW_VALIDATION = 30
_OVERFIT = 5.0
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
    r2 : dict of str to float
        Of the numbers, on the test crystals.
    accuracy, most_frequent : dict of str to float
        Of the classes on the test crystals, and the share of the most frequent class there.
    rarest : dict of str to float
        Share of the rarest class of the training crystals.
    outside : float or None
        Share of the test crystals that lie outside of what was learned.
    """

    n_train: int
    n_val: int
    n_test: int
    train_loss: float | None
    val_loss: float | None
    r2: dict[str, float]
    accuracy: dict[str, float]
    most_frequent: dict[str, float]
    rarest: dict[str, float]
    outside: float | None


def advice(facts: Facts) -> list[str]:
    """Return what to try next.

    Parameters
    ----------
    facts : Facts
        Of the run.

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
            f"{facts.n_val} validation crystals decide which epoch is best: that is luck in part. "
            "Use a larger --val-ratio, or cross-validate in Python."
        )
    if facts.n_test < _FEW_VALIDATION:
        yield f"{facts.n_test} test crystals say little about the error. Use a larger --test-ratio."


def _of_losses(facts: Facts) -> Iterator[str]:
    train, val = facts.train_loss, facts.val_loss
    if train is not None and val is not None and val > _OVERFIT * train > 0:
        yield (
            f"The validation loss ({val:.3g}) is {val / train:.0f} times the training loss "
            f"({train:.3g}): the network knows its training crystals by heart. More crystals help "
            "most; a model to start from (--init-from) helps with few."
        )


def _of_targets(facts: Facts) -> Iterator[str]:
    for name, value in facts.r2.items():
        if value < _POOR_R2:
            yield (
                f"R² of {name} is {value:.2f} on the test crystals, where their mean has 0. See "
                "whether the test crystals are like the training ones, and whether the values are "
                "right (units, totals or per atom, signs)."
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
                'class_weight="balanced" gives it more weight.'
            )


def _of_test_crystals(facts: Facts) -> Iterator[str]:
    if facts.outside is not None and facts.outside > _OUTSIDE:
        yield (
            f"{facts.outside:.0%} of the test crystals lie outside of what was learned: they are "
            "farther from their nearest training crystal than 99 % of those are from theirs."
        )
