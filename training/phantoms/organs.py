"""The labels of the tissues that a phantom is painted with."""

AIR = 0
FAT = 1
MUSCLE = 2
BONE = 3
LUNG = 4
HEART = 5
VESSEL = 6
AIRWAY = 7
LIVER = 8
SPLEEN = 9
KIDNEY = 10
PANCREAS = 11
GALLBLADDER = 12
STOMACH = 13
BOWEL = 14
BLADDER = 15
