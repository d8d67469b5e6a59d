"""What the settings declare inside a running service made so: topics, users, roles, privileges."""

from __future__ import annotations

from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.routes import FromHost, on_localhost
from learnflow_infra.services import Access, Secrets, Service
from learnflow_infra.settings import Settings

_SECONDS = 20.0


def reconcile(
    kube: Kube, settings: Settings, service: Service, secrets: Secrets, deadline: Deadline
) -> list[str]:
    """Make it so, from the host; returns what was changed. Raises Failure with the cause."""
    step = deadline.within(_SECONDS, "reconciling", code="service-slow")
    access = Access(kube, settings, secrets, step)
    host = FromHost(kube, settings.cluster.namespace, on_localhost(service.host_ports(settings)))
    return service.reconcile(access, host)
