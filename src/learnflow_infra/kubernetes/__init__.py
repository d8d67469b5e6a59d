"""The Kubernetes API, through the user's own kubectl."""
