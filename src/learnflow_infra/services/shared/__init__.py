"""What services have in common."""
