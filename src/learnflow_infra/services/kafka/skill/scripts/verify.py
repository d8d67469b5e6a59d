"""Prove, changing nothing: `learnflow-infra verify kafka`."""

from door import open_door

open_door("verify", "kafka")
