"""This machine: its processes, files, programs, clock."""
