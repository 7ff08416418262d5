"""What is in the scene: the map, its findings and segments, and what a reader said of them."""
