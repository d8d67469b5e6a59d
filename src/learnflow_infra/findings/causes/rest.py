"""Of what only counts where nothing else is known."""

from __future__ import annotations

from learnflow_infra.findings.causes.table import Cause, Exit

CAUSES = (
    Cause(
        "report-unwritable",
        Exit.USAGE,
        "The file that --report names could not be written.",
        "Name another one, in a folder that is yours.",
    ),
    Cause(
        "step-slow",
        Exit.UNHEALTHY,
        "A step took longer than the time that it may take, which is not the command's.",
        "Look at what is named, and at the machine's load; then repeat.",
        heals=True,
    ),
    Cause(
        "deadline-passed",
        Exit.DEADLINE,
        "The command's time was over before its work was done.",
        "Give it more with --timeout, or look with `learnflow-infra status`.",
    ),
)
