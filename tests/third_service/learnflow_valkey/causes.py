"""What can go wrong with Valkey alone."""

from __future__ import annotations

from learnflow_infra.findings.causes import Cause, Exit

CAUSES = (
    Cause(
        "valkey-data-damaged",
        Exit.UNHEALTHY,
        "The append-only file cannot be read.",
        "Restore the volume, or remove the data with `learnflow-infra down valkey --purge`.",
        log="Bad file format reading the append only file|Wrong signature trying to load DB",
    ),
    Cause(
        "valkey-password",
        Exit.UNHEALTHY,
        "Valkey does not know the user, or not by the password of its Secret.",
        "Run `kubectl delete pod valkey-0`: the users are written anew at each start.",
    ),
    Cause(
        "valkey-refused",
        Exit.UNHEALTHY,
        "Valkey refuses a command of the application's user.",
        "Read its answer; a full volume or a replica's role may stand behind it.",
    ),
)
