"""Prove, changing nothing: `learnflow-infra verify postgres`."""

from door import open_door

open_door("verify", "postgres")
