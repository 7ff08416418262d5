"""The numbers that the papers print, to set ours beside them."""

from dataclasses import dataclass

COLUMNS = ("LIDC", "MIDRC", "KiTS", "LiTS")
"""The paper's test sets."""
METRICS = {
    "auroc": "AUROC",
    "auroc@0.3": "AUROC up to FPR 0.3",
    "aupro@0.3": "AUPRO up to FPR 0.3",
}
"""What the paper prints for each, in this order, by our names."""
SET_OF_FAMILY = {
    "lung_nodule": "LIDC",
    "lung_opacity": "MIDRC",
    "kidney_tumour": "KiTS",
    "liver_tumour": "LiTS",
}
"""Which of the paper's sets a set of phantoms is made after."""


@dataclass(frozen=True)
class Row:
    """One row of a table of the paper.

    Arguments:
        name: What the paper calls it.
        numbers: AUROC, AUROC up to 0.3 and AUPRO up to 0.3, each on the four sets, `(12,)`.
        method: Descriptor, condition and density in the words of `training.evaluation.method`;
            none for other people's methods.
    """

    name: str
    numbers: tuple[float, ...]
    method: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class Printed:
    """A table of the paper.

    Arguments:
        title: Its number and what it compares.
        rows: Its rows.
    """

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Other:
    """A table of another paper, on other data, with other metrics.

    Arguments:
        title: Paper and table.
        columns: What its columns are.
        rows: Name and numbers of each method, as printed.
        ours: Our metric for each column, as kind and name in `results.json`; None where we have
            none.
        differs: Why no number there can be compared with ours digit by digit.
        only: Which of the Screener paper's sets it is about; none for any.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    ours: tuple[tuple[str, ...] | None, ...]
    differs: str
    only: str | None = None


def _row(name: str, text: str, method: tuple[str, str, str] | None = None) -> Row:
    numbers = tuple(float(number) for number in text.split())
    assert len(numbers) == len(METRICS) * len(COLUMNS), name
    return Row(name, numbers, method)


def _cell(descriptor: str, condition: str, density: str, text: str) -> Row:
    return _row(f"{descriptor}; {condition}; {density}", text, (descriptor, condition, density))


_MSFLOW = ".70 .66 .64 .64 .26 .20 .18 .17 .21 .14 .19 .17"
_V32 = "VICReg, d = 32"
_MARGINAL = _cell(_V32, "none", "flow", ".96 .89 .88 .93 .89 .68 .62 .78 .67 .46 .62 .65")
_BEST = ".96 .87 .90 .93 .88 .64 .68 .80 .65 .40 .67 .63"

TABLE_2 = Printed(
    "Table 2: Screener and other methods",
    (
        _row("Autoencoder", ".71 .65 .66 .68 .31 .21 .24 .25 .59 .24 .26 .37"),
        _row("f-AnoGAN", ".82 .66 .67 .67 .52 .21 .24 .22 .46 .18 .24 .22"),
        _row("DRAEM", ".63 .72 .82 .83 .21 .31 .50 .51 .17 .20 .50 .57"),
        _row("MOOD-Top1", ".79 .79 .77 .80 .43 .43 .40 .46 .32 .29 .40 .32"),
        _row("MSFlow", _MSFLOW),
        _row("Screener", _BEST, (_V32, "masking-invariant", "flow")),
    ),
)
TABLE_3 = Printed(
    "Table 3: conditions and densities",
    (
        _cell(_V32, "none", "Gaussian", ".81 .81 .61 .71 .41 .47 .12 .22 .46 .62 .13 .28"),
        _cell(_V32, "sin-cos", "Gaussian", ".82 .80 .74 .77 .45 .42 .26 .34 .40 .50 .27 .32"),
        _cell(_V32, "APE", "Gaussian", ".88 .80 .78 .86 .67 .46 .34 .56 .43 .38 .35 .55"),
        _cell(
            _V32,
            "masking-invariant",
            "Gaussian",
            ".96 .84 .87 .90 .90 .58 .58 .71 .64 .41 .57 .48",
        ),
        _MARGINAL,
        _cell(_V32, "sin-cos", "flow", ".96 .89 .90 .94 .89 .68 .69 .80 .66 .46 .68 .66"),
        _cell(_V32, "APE", "flow", ".96 .88 .89 .94 .87 .65 .67 .80 .64 .43 .66 .66"),
        _cell(_V32, "masking-invariant", "flow", _BEST),
    ),
)
TABLE_4 = Printed(
    "Table 4: descriptors",
    (
        _row("ImageNet; sin-cos; MSFlow", _MSFLOW),
        _row("STU-Net; none; flow", ".52 .44 .52 .64 .02 .01 .03 .05 .02 .01 .04 .03"),
        _cell("SimCLR, d = 32", "none", "flow", ".96 .87 .87 .91 .90 .65 .58 .71 .68 .43 .58 .60"),
        _MARGINAL,
        _cell(
            "VICReg, d = 128", "none", "flow", ".96 .90 .87 .93 .90 .72 .60 .77 .70 .52 .60 .65"
        ),
    ),
)
SCREENER = (TABLE_2, TABLE_3, TABLE_4)
"""Goncharov et al., "Screener", arXiv 2502.08321v1."""

SIMPLESLICENET = Other(
    "SimpleSliceNet, Table 1: voxel metrics on brain MRI, in percent",
    ("AUROC", "AUPRC", "PRO", "Dice", "Spec", "ACC", "Prec"),
    (
        ("SimpleNet", (86.9, 23.31, 61.05, 28.06, 24.27, 91.84, 93.09)),
        ("BGAD w/o", (77.88, 7.82, 37.81, 13.4, 8.82, 79.09, 79.7)),
        ("BGAD 100", (92.04, 35.37, 73.13, 37.79, 35.26, 95, 96.24)),
        ("CFLOW-AD", (83.21, 13.29, 46.34, 19.87, 14.3, 82.68, 83.44)),
        ("EDC", (88.77, 32.86, 68.84, 37.74, 34.6, 90.57, 91.35)),
        ("DAE", (87.89, 16.30, 75.08, 24.88, 19.95, 89.40, 90.42)),
        ("AE-FLOW", (82.28, 12.91, 68.85, 19.84, 14.53, 81.53, 82.12)),
        ("CutPaste", (73.15, 3.64, 28.53, 7.29, 4.5, 87.21, 88.12)),
        ("PatchCore", (95.51, 44.75, 76.44, 48.52, 44.26, 96.52, 97.42)),
        ("RD++", (95.25, 38.50, 74.99, 44.07, 37.99, 95.75, 96.64)),
        ("3D AE", (86.69, 18.03, 73.42, 25.79, 20.01, 88.37, 89.19)),
        ("SimpleSliceNet", (95.55, 51.33, 76.98, 51.07, 48.5, 95.67, 96.48)),
    ),
    (
        ("auroc", "mean"),
        ("ap", "mean"),
        ("aupro@0.3", "mean"),
        ("dice", "own"),
        None,
        None,
        None,
    ),
    "Brain MRI (IXI, BraTS 2021) there, CT here. Its metrics are means over volumes of scores that "
    "are scaled to each volume's own range; its PRO, in the public code, widens the prediction "
    "before the overlap is taken but not before the false positives are counted; its Dice takes "
    "the best threshold of each test volume. Ours are means over scans too, with AUPRO as MVTec "
    "defines it, and Dice at the best threshold of each scan, which nobody knows before.",
)
TWO_PHASE = Other(
    "Two-phase training with pseudo anomalies, Table 1: liver tumours, Dice in percent",
    ("Dice",),
    (
        ("Zhang et al., supervised *", (61.91,)),
        ("DRAEM", (14.75,)),
        ("Zhang et al. *", (40.78,)),
        ("ASC-Net *", (32.24,)),
        ("ASC-Net with postprocessing *", (50.23,)),
        ("Hu et al. *", (59.77,)),
        ("Two-phase", (53.03,)),
    ),
    (("dice", "elsewhere"),),
    "LiTS there, and only inside of the liver, which an organ annotation gives; slices of 256 x "
    "256 pixels; training on BTCV. Ours is screened in the whole body without any "
    "annotation, at a threshold fixed on other patients. * as copied there from other papers.",
    "LiTS",
)
OTHERS = (SIMPLESLICENET, TWO_PHASE)
