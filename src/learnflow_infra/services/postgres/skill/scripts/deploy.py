"""Deploy and prove: `learnflow-infra up postgres`."""

from door import open_door

open_door("up", "postgres")
