"""From scans on disk to the batch of a step: store, crops, jitter, masks, cached features."""
