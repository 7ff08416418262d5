"""Synthetic lesions in real scans, with masks: anomalies of known place on real anatomy."""
