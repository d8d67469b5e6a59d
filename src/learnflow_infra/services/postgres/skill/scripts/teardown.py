"""Remove, keeping the data: `learnflow-infra down postgres`."""

from door import open_door

open_door("down", "postgres")
