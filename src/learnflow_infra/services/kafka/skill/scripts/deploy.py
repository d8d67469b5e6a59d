"""Deploy and prove: `learnflow-infra up kafka`."""

from door import open_door

open_door("up", "kafka")
