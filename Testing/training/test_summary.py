"""Means over scans as other papers report them: AP, and Dice at each scan's own best threshold."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from training.evaluation.counts import Counts, pooled
from training.evaluation.froc import Marks
from training.evaluation.intervals import Groups, Scans
from training.evaluation.summary import AREAS, SINGLES, UNDEFINED, numbers


def test_the_means_are_those_of_scikit_learn_over_scans_with_lesions(
    rng: np.random.Generator,
) -> None:
    counts, precisions, dices = [], [], []
    for lift in (0.5, 3.0, None):
        lesion = rng.random(600) < (0.1 if lift else 0.0)
        scores = np.round(rng.normal(size=600) + (lift or 0) * lesion, 1)
        counts.append(Counts.of(scores, lesion))
        if lift:
            precisions.append(average_precision_score(lesion, scores))
            dices.append(max(f1_score(lesion, scores >= t) for t in np.unique(scores)))
    groups, whole = Groups.of(pooled(counts)), pooled(counts)
    scans = Scans.of([groups.of_counts(one) for one in counts], ["a", "b", "c"])
    singles = {name: np.array([f(one) for one in counts]) for name, f in SINGLES.items()}
    singles |= {name: np.zeros(3) for name in AREAS}
    none = Marks(np.zeros(0, np.float32), np.zeros(0, np.int32), 0)
    found = numbers(whole, scans, singles, [none] * 3, scans.draws(10, rng))
    assert found["ap"]["mean"]["value"] == pytest.approx(np.mean(precisions), abs=1e-4)
    assert found["dice"]["own"]["value"] == pytest.approx(np.mean(dices), abs=1e-4)
    # At one threshold for all it is no better.
    assert found["dice"]["best"] < found["dice"]["own"]["value"]
    # Where voxels are drawn, neither is given; and nothing else is missing there.
    assert {name: set(found[name]) for name in UNDEFINED} == {
        name: set(kinds) for name, kinds in UNDEFINED.items()
    }
