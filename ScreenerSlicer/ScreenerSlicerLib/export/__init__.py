"""What leaves Slicer: tables, and DICOM."""
