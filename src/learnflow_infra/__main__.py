"""`python -m learnflow_infra`, for callers that know an interpreter and no PATH."""

from learnflow_infra.cli import main

main()
