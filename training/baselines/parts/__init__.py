"""What several rivals are built from."""
