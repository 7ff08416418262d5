"""What Screener needs in Slicer's Python, and what to do when something is wrong."""
