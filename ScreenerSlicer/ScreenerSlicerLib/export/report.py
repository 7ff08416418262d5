"""The findings as a DICOM structured report by the template TID 1500, made by highdicom.

Each finding is a measurement group that refers to its segment in the Segmentation made beside it,
with what was measured and what its reader made of it. The observer is the program: who read the
list is not known here.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ctscreener.findings import NOTICE, FindingSettings
from ctscreener.rarity_text import counted_up_to
from ctscreener.version import VERSION
from ScreenerSlicerLib.export.dicom import (
    ALTERED,
    RARITY,
    REGION,
    SCHEME,
    TRUNK,
    label_of,
    made_by,
)

if TYPE_CHECKING:
    from highdicom.sr import Measurement, QualitativeEvaluation
    from highdicom.sr import VolumetricROIMeasurementsAndQualitativeEvaluations as Group
    from pydicom import Dataset

    from ctscreener.findings import Finding
    from ScreenerSlicerLib.export.tables import Reviewed

REPORT_DESCRIPTION = "Screener findings, RESEARCH USE ONLY"
REPORT_SERIES = 9003
VERDICT = ("verdict", SCHEME, "Reader's verdict")
VERDICTS = {"accepted": "Accepted", "unsure": "Unsure", "rejected": "Rejected"}
MILLILITRE = ("mL", "UCUM", "milliliter")


def report(
    headers: "Sequence[Dataset]",
    segments: "Dataset",
    reviewed: "Sequence[Reviewed]",
    settings: FindingSettings,
    provenance: Mapping[str, Any],
    found: int = 0,
) -> "Dataset":
    """Make a report of findings.

    Arguments:
        headers: What `read_source` returned for the scan.
        segments: The Segmentation of the same findings, in the same order.
        reviewed: The findings, with place, verdict and comment.
        settings: What they were found with.
        provenance: Of the run.
        found: How many findings there are, listed or not; 0 where that is not known.

    Raises:
        ImportError: highdicom is missing.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    origin = made_by(provenance)
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID(),
        name="Screener",
        manufacturer_name="Screener",
        model_name=origin["manufacturer_model_name"],
        serial_number=origin["device_serial_number"],
    )
    observer = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device, observer_identifying_attributes=device
    )
    counted = counted_up_to(provenance)
    algorithm = hd.sr.AlgorithmIdentification(
        name="Screener", version=VERSION, parameters=_parameters(settings, provenance, found)
    )
    groups = [
        _group(one, number, segments, counted, algorithm)
        for number, one in enumerate(reviewed, start=1)
    ]
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    made = hd.sr.ComprehensiveSR(
        evidence=[*headers, segments],
        content=content,
        series_number=REPORT_SERIES,
        # A list that a program has made is final for nobody.
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description=REPORT_DESCRIPTION,
        **origin,
    )
    return made


def _parameters(settings: FindingSettings, provenance: Mapping[str, Any], found: int) -> list[str]:
    """What the findings come from; the first line is what readers of one line alone see."""
    model = provenance.get("model", {})
    synthetic = " SYNTHETIC: no model was run." if provenance.get("synthetic") else ""
    limit = f"; listed: the {settings.most} rarest of {found}" if found > settings.most else ""
    return [
        NOTICE + synthetic,
        f"model {model.get('name')}, weights SHA-256 {model.get('weights_sha256')}",
        f"rarity at least {settings.threshold:g}, volume at least {settings.min_volume_ml:g} ml"
        + limit,
    ]


def _group(
    one: "Reviewed",
    number: int,
    segments: "Dataset",
    counted: float,
    algorithm: Any,  # noqa: ANN401 - highdicom is not loaded here
) -> "Group":
    """Describe one finding, that of a segment."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    laterality = {"left": codes.SCT.Left, "right": codes.SCT.Right}
    side = laterality.get(one.place.side) if one.place else None
    site = hd.sr.FindingSite(hd.sr.CodedConcept(*TRUNK), laterality=side)
    segment = segments.SegmentSequence[number - 1]
    group = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=segment.TrackingUID, identifier=label_of(one.finding, counted)
        ),
        referenced_segment=hd.sr.ReferencedSegment.from_segmentation(segments, number),
        finding_type=hd.sr.CodedConcept(*REGION),
        finding_category=hd.sr.CodedConcept(*ALTERED),
        algorithm_id=algorithm,
        finding_sites=[site],
        measurements=_measurements(one.finding, counted),
        qualitative_evaluations=_evaluations(one.verdict),
    )
    if one.comment:
        comment = hd.sr.TextContentItem(
            name=codes.DCM.Comment,
            value=one.comment,
            relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
        )
        group[0].ContentSequence.append(comment)
    return group


def _measurements(finding: "Finding", counted: float) -> "list[Measurement]":
    """What was measured; of a rarity that was not counted, how far it was, and that it is more."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    measure = hd.sr.Measurement
    rarity = hd.sr.CodedConcept(*RARITY)
    beyond = codes.DCM.ValueOutOfRange if finding.peak_rarity > counted else None
    peak = round(min(finding.peak_rarity, counted), 4)
    mean = round(min(finding.mean_rarity, counted), 4)
    unit, average = codes.UCUM.NoUnits, codes.SCT.Mean
    return [
        measure(rarity, peak, unit, derivation=codes.SCT.Maximum, qualifier=beyond),
        measure(rarity, mean, unit, derivation=average),
        measure(codes.SCT.Volume, round(finding.volume_ml, 4), hd.sr.CodedConcept(*MILLILITRE)),
        measure(codes.SCT.Diameter, round(finding.diameter_mm, 2), codes.UCUM.Millimeter),
        measure(
            codes.DCM.AttenuationCoefficient,
            round(finding.mean_hu, 2),
            codes.UCUM.HounsfieldUnit,
            derivation=average,
        ),
    ]


def _evaluations(verdict: str) -> "list[QualitativeEvaluation] | None":
    """The reader's verdict, if there is one."""
    import highdicom as hd

    if not verdict:
        return None
    value = hd.sr.CodedConcept(verdict, SCHEME, VERDICTS[verdict])
    return [hd.sr.QualitativeEvaluation(hd.sr.CodedConcept(*VERDICT), value)]
