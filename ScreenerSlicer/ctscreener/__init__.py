"""The inference engine of Screener: a CT scan in, an anomaly map and ranked findings out."""
