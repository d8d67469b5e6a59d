"""Remove, keeping the data: `learnflow-infra down kafka`."""

from door import open_door

open_door("down", "kafka")
