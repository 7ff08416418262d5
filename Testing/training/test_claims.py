"""The paper's findings: the right rows, scan by scan, and no verdict without evidence."""

from typing import Any

import numpy as np
import pytest

from training.page.claims import CLAIMS, PRINTED_STEP, paired, verdicts
from training.page.printed import TABLE_3, TABLE_4


def results(method: tuple[str, str, str], aurocs: dict[str, list[float | None]]) -> Any:  # noqa: ANN401
    return {
        "method": dict(zip(("descriptor", "condition", "density"), method, strict=True)),
        "sets": [
            {
                "set": name,
                "protocol": "body-only",
                "scans": [
                    {"name": f"{name}{i}", "auroc": {"Screener": value}}
                    for i, value in enumerate(values)
                ],
            }
            for name, values in aurocs.items()
        ],
    }


def test_both_rows_of_every_claim_are_printed() -> None:
    methods = {row.method for row in (*TABLE_3.rows, *TABLE_4.rows)}
    assert all({claim.better, claim.worse} <= methods for claim in CLAIMS)


def test_scans_are_paired_and_sets_weigh_the_same(rng: np.random.Generator) -> None:
    flow = results(CLAIMS[0].better, {"a": [0.9, 0.8, None], "b": [0.7] * 8})
    gaussian = results(CLAIMS[0].worse, {"a": [0.5, 0.6, 0.4], "b": [0.7] * 8})
    np.testing.assert_allclose(paired(flow, gaussian, "body-only")[0], [0.4, 0.2])
    (found,) = verdicts([gaussian, flow], "body-only")
    assert found.claim is CLAIMS[0]
    # The paper: .96 .89 .88 .93 against .81 .81 .61 .71.
    assert found.printed == pytest.approx((0.15 + 0.08 + 0.27 + 0.22) / 4)
    assert found.ours == pytest.approx((0.3 + 0.0) / 2)
    assert found.low == pytest.approx(0.1, abs=0.001)
    assert found.word == "the same direction"


def test_where_the_paper_has_no_difference_neither_direction_is_its_own() -> None:
    claim = next(claim for claim in CLAIMS if claim.text == "128 channels beat 32")

    def word(better: list[float | None], worse: list[float | None]) -> str:
        pair = results(claim.better, {"a": better}), results(claim.worse, {"a": worse})
        (found,) = verdicts(pair, "body-only")
        assert abs(found.printed) < PRINTED_STEP
        return found.word

    assert word([0.1, 0.2], [0.5, 0.5]) == "a difference; the paper has none"
    assert word([0.8, 0.9], [0.5, 0.5]) == "a difference; the paper has none"
    assert word([0.9, 0.1], [0.5, 0.5]) == "no difference was found; the paper has none"


def test_little_evidence_decides_nothing_and_the_reverse_is_said() -> None:
    def word(better: list[float | None], worse: list[float | None]) -> str:
        pair = results(CLAIMS[0].better, {"a": better}), results(CLAIMS[0].worse, {"a": worse})
        (found,) = verdicts(pair, "body-only")
        return found.word

    assert "not decided" in word([0.9], [0.1])
    assert "not decided" in word([0.9, 0.1], [0.5, 0.5])
    assert word([0.1, 0.2], [0.5, 0.5]) == "the reverse"
    assert verdicts([results(CLAIMS[0].better, {"a": [0.5]})], "body-only") == []
    pair = results(CLAIMS[0].better, {"a": [None]}), results(CLAIMS[0].worse, {"a": [0.5]})
    assert verdicts(pair, "body-only") == []
