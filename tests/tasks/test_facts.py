"""What a task tells of a training for advice."""

import numpy as np
import pytest

from skcgcnn.tasks import Classes, Number


def test_accuracy_beside_the_most_frequent_class_and_the_rarest():
    task = Classes("kind", classes=np.array(["a", "b", "c"]))
    tested, trained = np.array(list("aabb" + "b")), np.array(list("aaaabbbbbc"))
    facts = task.facts({"accuracy": 0.8}, tested, trained)
    assert facts == pytest.approx({"accuracy": 0.8, "most_frequent": 0.6, "rarest": 0.1})


def test_what_is_not_known_is_no_fact():
    task = Classes("kind", classes=np.array(["a", "b"]))
    nothing = np.array([], dtype=object)
    assert task.facts({"accuracy": None}, nothing, np.array(["a", "b"])) == {"rarest": 0.5}
    assert task.facts({"accuracy": None}, nothing, nothing) == {}
    number = Number("gap")
    assert number.facts({"r2": None}, nothing, nothing) == {}
    assert number.facts({"r2": 0.0}, nothing, nothing) == {"r2": 0.0}
