"""What is known before a run: the scan, the model, the machine, the time."""
