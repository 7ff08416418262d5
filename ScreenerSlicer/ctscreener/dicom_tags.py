"""Tags of what is read of a DICOM file (PS3.6); none tells who the patient is."""

CLASS = 0x0002_0002
IMAGE_TYPE, MODALITY, SERIES, DESCRIPTION = 0x0008_0008, 0x0008_0060, 0x0020_000E, 0x0008_103E
POSITION, ORIENTATION, SPACING = 0x0020_0032, 0x0020_0037, 0x0028_0030
SLOPE, INTERCEPT, UNITS, LUT = 0x0028_1053, 0x0028_1052, 0x0028_1054, 0x0028_3000
SAMPLES, PHOTOMETRIC, FRAMES = 0x0028_0002, 0x0028_0004, 0x0028_0008
ROWS, COLUMNS = 0x0028_0010, 0x0028_0011
ALLOCATED, STORED, HIGH_BIT, SIGNED = 0x0028_0100, 0x0028_0101, 0x0028_0102, 0x0028_0103
FRAME_TYPE = 0x0008_9007
NUMBER = 0x0020_0013

MARKS = {
    "AcquisitionNumber": (0x0020_0012, 0x0020_9156),
    "TemporalPosition": (0x0020_0100, 0x0020_9128),
    "NominalPercentageOfCardiacPhase": (0x0020_9241,),
    "ConvolutionKernel": (0x0018_1210,),
    "KVP": (0x0018_0060,),
    "ImageType": (IMAGE_TYPE, FRAME_TYPE),
    "SeriesNumber": (0x0020_0011,),
    "SeriesDescription": (DESCRIPTION,),
    "StackID": (0x0020_9056,),
    "FrameOfReferenceUID": (0x0020_0052,),
}
"""What tells phases, kernels or energies of one series apart, by its name in the standard."""
TIMES = {
    "AcquisitionTime": (0x0008_0032,),
    "AcquisitionDateTime": (0x0008_002A, 0x0018_9074),
    "ContentTime": (0x0008_0033, 0x0018_9151),
    "TriggerTime": (0x0018_1060,),
}
WHOLE_MARKS, SINGLE_MARKS = (0x0020_9156, 0x0020_9128), (0x0020_9241,)
"""Marks that are no text: whole numbers, and numbers of single precision."""

SHARED, PER_FRAME = 0x5200_9229, 0x5200_9230
# Functional groups, and within them KVP, that tell something of a frame (PS3.3, A.38.1.4).
GROUPS = (0x0020_9113, 0x0020_9116, 0x0028_9110, 0x0028_9145, 0x0018_9329, 0x0020_9111)
GROUPS += (0x0018_9314, 0x0018_9325, 0x0018_9477)
ENTERED = frozenset({SHARED, PER_FRAME, LUT, *GROUPS})
WANTED = frozenset(
    {
        *(CLASS, IMAGE_TYPE, MODALITY, SERIES, DESCRIPTION, POSITION, ORIENTATION, SPACING),
        *(SLOPE, INTERCEPT, UNITS, SAMPLES, PHOTOMETRIC, FRAMES, ROWS, COLUMNS),
        *(ALLOCATED, STORED, HIGH_BIT, SIGNED, FRAME_TYPE, NUMBER),
        *(tag for tags in (*MARKS.values(), *TIMES.values()) for tag in tags),
    }
)
