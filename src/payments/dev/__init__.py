"""What runs on a laptop alone: the stack, its PostgreSQL, its demo; production never loads it."""
