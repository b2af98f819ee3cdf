"""What developers of this repository run."""
