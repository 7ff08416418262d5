"""Several scans, one after the other."""
