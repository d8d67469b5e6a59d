"""What can be found, as data: causes, findings, and the exception that carries them."""
