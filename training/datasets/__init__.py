"""Public data sets, and folders of one's own, each read by one file."""
