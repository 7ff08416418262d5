"""The one loop that trains every network: schedule, processes, checkpoints, journal."""
