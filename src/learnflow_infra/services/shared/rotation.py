"""How a renewed certificate gets from its Secret into a running pod, where its server reads it.

The kubelet brings a Secret's new content into a pod at once when the pod itself changes, and
otherwise within a minute or two.
"""

from __future__ import annotations

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.kubernetes.secrets import decoded
from learnflow_infra.services import Access
from learnflow_infra.services.shared import authority

POLL_SECONDS = 0.05
_RENEWED = "learnflow-app/certificate-renewed"


def wanted(access: Access, service: str) -> str:
    """The certificate in a service's Secret. Raises Failure(certificate-pending) where there is
    none."""
    name = authority.server_secret(service)
    secret = access.kube.get("Secret", access.settings.cluster.namespace, name)
    if secret is None:
        raise pending(service, f"the Secret {name} is not there")
    return decoded(secret)["tls.crt"]


def begin(access: Access, pod: str) -> int:
    """Let the kubelet bring a pod its Secret now; says for how many POLL_SECONDS to wait for it."""
    access.kube.annotate("Pod", access.settings.cluster.namespace, pod, _RENEWED)
    return int(access.deadline.remaining() / 2 / POLL_SECONDS)


def pending(service: str, message: str) -> Failure:
    """A certificate that is not there yet."""
    return Failure(finding("certificate-pending", message, service=service))
