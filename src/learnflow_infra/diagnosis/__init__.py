"""From what the API shows to findings: pure functions, and what is read for them."""
