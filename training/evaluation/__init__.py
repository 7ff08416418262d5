"""From a map and a mask to numbers with their bounds: counts, curves, FROC, intervals, protocols."""
