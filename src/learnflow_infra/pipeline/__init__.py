"""What `up` does, one file a step; `verify` is the last of them."""
