"""Damaged scans and models, read by us and by independent readers; see `python -m Testing.fuzz`."""
