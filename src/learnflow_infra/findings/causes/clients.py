"""Of pods that use a service and are not of it."""

from __future__ import annotations

from learnflow_infra.findings.causes.table import Cause, Exit

CAUSES = (
    Cause(
        "client-unlabelled",
        Exit.UNHEALTHY,
        "A pod uses a connection Secret and lacks the label that lets clients in: the service's "
        "network policy refuses it.",
        "Add the label to its template, as the finding says.",
    ),
    Cause(
        "client-login-old",
        Exit.UNHEALTHY,
        "A pod's environment has a login that has changed since its container started.",
        "Restart it, as the finding says.",
    ),
    Cause(
        "client-service-links",
        Exit.UNHEALTHY,
        "A program took a variable that Kubernetes sets for a Service, such as "
        "POSTGRES_PORT=tcp://…, for a setting of its own.",
        "Set `enableServiceLinks: false` in the pod's template, or the variable itself.",
        log=r"tcp://\d+\.\d+\.\d+\.\d+:\d+",
    ),
)
