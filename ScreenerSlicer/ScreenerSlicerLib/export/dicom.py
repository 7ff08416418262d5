"""The map as a DICOM Parametric Map and findings as a DICOM Segmentation, made by highdicom.

Patient, study and frame of reference come from the scan's own files. dcmqi, by which Slicer reads
Parametric Maps, asks for two things that highdicom does not do: the anatomy in the shared
functional groups, without which it dies, and frames in the order in which they lie along their
normal, without which it turns the map upside down.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ctscreener.findings import NOTICE
from ctscreener.rarity_text import counted_up_to, rarity_text
from ctscreener.version import VERSION
from ctscreener.whole_file import whole_file
from ScreenerSlicerLib.export.dicom_source import planes_of

if TYPE_CHECKING:
    from pydicom import Dataset

    from ctscreener.findings import Finding
    from ScreenerSlicerLib.scene.regions import Region

MAP_DESCRIPTION = "Screener rarity map, RESEARCH USE ONLY"
SEGMENTS_DESCRIPTION = "Screener anomalous regions, RESEARCH USE ONLY"
MAP_SERIES, SEGMENTS_SERIES = 9001, 9002
SCHEME = "99SCREENER"
RARITY = ("rarity", SCHEME, "Rarity")
REGION = ("anomalous-region", SCHEME, "Anomalous region")
ALTERED = ("49755003", "SCT", "Morphologically Altered Structure")
TRUNK = ("22943007", "SCT", "Trunk")
"""Codes: value, scheme and meaning."""
LONGEST = 64
"""Letters in a long string of DICOM."""


def rarity_map(
    headers: "Sequence[Dataset]",
    rarity: np.ndarray,
    affine: np.ndarray,
    provenance: Mapping[str, Any],
) -> "Dataset":
    """Make a Parametric Map of float values; takes seconds for hundreds of slices.

    Arguments:
        headers: What `read_source` returned for the scan.
        rarity: float32, `(D, H, W)`, NaN where not scored, which is kept.
        affine: Voxel `(d, h, w, 1)` to RAS mm, `(4, 4)`.
        provenance: Of the run.

    Raises:
        ImportError: highdicom is missing.
    """
    import highdicom as hd
    from highdicom.pm import ParametricMap, RealWorldValueMapping

    mapping = RealWorldValueMapping(
        lut_label="Rarity",
        lut_explanation="-log10 of the share of reference voxels as rare",
        unit=hd.sr.CodedConcept("1", "UCUM", "no units"),
        value_range=(0.0, 100.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=hd.sr.CodedConcept(*RARITY),
    )
    image = ParametricMap(
        source_images=headers,
        pixel_array=np.ascontiguousarray(rarity, np.float32),
        series_number=MAP_SERIES,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        content_label="RARITY",
        series_description=MAP_DESCRIPTION,
        **_window(),
        **_described(provenance),
        **_planes(rarity.shape, affine),
    )
    # The value where there is none, for readers that would window over it.
    image.FloatPixelPaddingValue = float("nan")
    image.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [_anatomy()]
    _sort_frames(image)
    image.ImageComments = told(provenance)
    return image


def segmentation(
    headers: "Sequence[Dataset]",
    regions: Sequence["Region"],
    shape: tuple[int, int, int],
    affine: np.ndarray,
    provenance: Mapping[str, Any],
) -> "Dataset":
    """Make a binary Segmentation of findings, a segment a finding.

    Arguments:
        headers: What `read_source` returned for the scan.
        regions: Findings with their voxels; at least one.
        shape: Voxels of the volume, `(D, H, W)`.
        affine: Its voxel `(d, h, w, 1)` to RAS mm.
        provenance: Of the run.

    Raises:
        ImportError: highdicom is missing.
    """
    from highdicom.seg import Segmentation, SegmentationTypeValues

    assert regions, "there is something to write"
    counted = counted_up_to(provenance)
    labels = np.zeros(shape, np.uint8)
    for number, region in enumerate(regions, start=1):
        labels.reshape(-1)[region.voxels] = number
    image = Segmentation(
        source_images=headers,
        pixel_array=labels,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(n, one, counted) for n, one in enumerate(regions, start=1)],
        series_number=SEGMENTS_SERIES,
        content_label="REGIONS",
        series_description=SEGMENTS_DESCRIPTION,
        **_described(provenance),
        **_planes(shape, affine),
    )
    image.ImageComments = told(provenance)
    return image


def made_by(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What every object says of its origin, as highdicom's constructors take it.

    Arguments:
        provenance: Of the run.
    """
    import highdicom as hd

    model = provenance.get("model", {})
    return {
        "series_instance_uid": hd.UID(),
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": "Screener",
        "manufacturer_model_name": f"Screener, model {model.get('name', 'unknown')}"[:LONGEST],
        "software_versions": VERSION,
        "device_serial_number": str(model.get("weights_sha256") or "none")[:LONGEST],
    }


def told(provenance: Mapping[str, Any]) -> str:
    """Write the notice and what made an object, for whoever opens it.

    Arguments:
        provenance: Of the run.
    """
    model = provenance.get("model", {})
    kept = [f"model {model.get('name')}", f"weights SHA-256 {model.get('weights_sha256')}"]
    synthetic = ["SYNTHETIC: no model was run."] if provenance.get("synthetic") else []
    return " ".join([NOTICE, *synthetic, f"Screener {VERSION},", ", ".join(kept)])


def save(path: Path, image: "Dataset") -> None:
    """Write an object; it is there once it is whole, or not at all.

    Raises:
        InputError: One of `ctscreener.whole_file.whole_file`.
    """
    with whole_file(path) as part:
        image.save_as(part)


def _described(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What images say beside."""
    return made_by(provenance) | {
        "content_description": "Rare is not ill. Research use only, not for diagnosis."
    }


def _window() -> dict[str, Any]:
    """How to show the map, 0 to 6, in the words of this highdicom; 0.28 has changed them."""
    import highdicom as hd

    if "voi_lut_transformations" in inspect.signature(hd.pm.ParametricMap).parameters:
        window = hd.VOILUTTransformation(window_center=3.0, window_width=6.0)
        return {"voi_lut_transformations": [window]}
    return {"window_center": 3.0, "window_width": 6.0}


def _planes(shape: tuple[int, ...], affine: np.ndarray) -> dict[str, Any]:
    """The grid, as the constructors take it."""
    import highdicom as hd

    planes = planes_of(shape, affine)
    rows, columns, slices = (float(length) for length in planes.spacing)
    patient = hd.CoordinateSystemNames.PATIENT
    return {
        "plane_positions": [
            hd.PlanePositionSequence(patient, position.tolist()) for position in planes.positions
        ],
        "plane_orientation": hd.PlaneOrientationSequence(patient, planes.orientation.tolist()),
        "pixel_measures": hd.PixelMeasuresSequence(
            pixel_spacing=(rows, columns), slice_thickness=slices, spacing_between_slices=slices
        ),
    }


def label_of(finding: "Finding", counted: float) -> str:
    """Name a finding, as segments and reports do.

    Arguments:
        finding: The finding.
        counted: The highest rarity that was counted on the reference scans.
    """
    rarity = rarity_text(finding.peak_rarity, counted)
    return f"Anomalous region {finding.rank}, rarity {rarity}"


def _segment(number: int, region: "Region", counted: float) -> Any:  # noqa: ANN401 - highdicom is not loaded here
    """Describe a segment in the words of our terminology: no disease is named."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    finding = region.finding
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label_of(finding, counted),
        segmented_property_category=hd.sr.CodedConcept(*ALTERED),
        segmented_property_type=hd.sr.CodedConcept(*REGION),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="Screener", family=codes.DCM.ArtificialIntelligence, version=VERSION
        ),
        tracking_uid=hd.UID(),
        tracking_id=f"Anomalous region {finding.rank}",
    )


def _anatomy() -> "Dataset":
    """The anatomy of every frame: the trunk, for a scan tells no more."""
    import highdicom as hd
    from pydicom import Dataset

    anatomy = Dataset()
    anatomy.FrameLaterality = "U"
    anatomy.AnatomicRegionSequence = [hd.sr.CodedConcept(*TRUNK)]
    return anatomy


def _sort_frames(image: "Dataset") -> None:
    """Put the frames of a map into the order in which they lie along their normal."""
    shared = image.SharedFunctionalGroupsSequence[0]
    across = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    normal = np.cross(across[:3], across[3:])
    frames = list(image.PerFrameFunctionalGroupsSequence)
    positions = [one.PlanePositionSequence[0].ImagePositionPatient for one in frames]
    order = np.argsort(np.array(positions, float) @ normal)
    values = np.frombuffer(image.FloatPixelData, "<f4").reshape(len(frames), -1)
    image.FloatPixelData = values[order].tobytes()
    image.PerFrameFunctionalGroupsSequence = [frames[int(i)] for i in order]
    for number, frame in enumerate(image.PerFrameFunctionalGroupsSequence, start=1):
        frame.FrameContentSequence[0].DimensionIndexValues = [number]
