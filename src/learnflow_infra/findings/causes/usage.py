"""Of the command line and the settings."""

from __future__ import annotations

from learnflow_infra.findings.causes.table import Cause, Exit

CAUSES = (
    Cause(
        "usage",
        Exit.USAGE,
        "The command line was not understood.",
        "See `learnflow-infra --help`.",
    ),
    Cause(
        "settings-invalid",
        Exit.USAGE,
        "The settings file holds something that is no setting, or no valid value of one.",
        "Correct the named setting; `learnflow-infra explain` says what there is.",
    ),
    Cause(
        "settings-misplaced",
        Exit.USAGE,
        "The working folder has an infra.toml that is not the one that is read.",
        "Move it to learnflow-app/phase-2-infrastructure, or name it with --settings.",
    ),
    Cause(
        "settings-not-found",
        Exit.USAGE,
        "A settings file declared what is deployed, and none was found: what it declared would be "
        "removed.",
        "Repeat in the project's folder, or name the file with --settings.",
    ),
    Cause(
        "setting-fixed",
        Exit.USAGE,
        "A setting was changed that cannot change while the data is kept.",
        "Set it back, or remove the data with `learnflow-infra down --purge`.",
    ),
    Cause(
        "password-unusable",
        Exit.USAGE,
        "A password of one's own in a credentials Secret is not one that all clients take alike.",
        "Write it anew, or remove the named key; then run `learnflow-infra up`.",
    ),
    Cause(
        "host-port-taken",
        Exit.USAGE,
        "Another program listens on a port that `connect` opens.",
        "End that program, or set another host_port.",
    ),
    Cause(
        "cache-unsafe",
        Exit.USAGE,
        "The cache folder, whose programs are run, can be written to by others.",
        "Make it your own (`chown`, `chmod o-w`), or set XDG_CACHE_HOME to another folder.",
    ),
    Cause(
        "folder-unwritable",
        Exit.USAGE,
        "A folder could not be written to.",
        "Name another folder, or change its permissions.",
    ),
    Cause(
        "declined",
        Exit.INTERRUPTED,
        "The question was answered with no.",
        "Answer y, or pass --yes.",
    ),
    Cause(
        "interrupted",
        Exit.INTERRUPTED,
        "The command was interrupted.",
        "Run it again: it goes on from where it stopped.",
    ),
    Cause(
        "internal-error",
        Exit.UNHEALTHY,
        "A defect of this tool.",
        "Report it with the command that led to it.",
        untested="it would be mended.",
    ),
)
