"""The cluster id in the credentials, where the Secret was lost and made anew: brokers go on with
that of their volumes."""

from __future__ import annotations

from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.objects import created
from learnflow_infra.kubernetes.secrets import encoded
from learnflow_infra.services import Access
from learnflow_infra.services.kafka.client import Client

_SECRET = "kafka-credentials"


def adopt(access: Access, client: Client) -> list[str]:
    """Write the running cluster's id into the Secret where that is newer than the volumes; where it
    is older, these are of another deployment, which the proof refuses."""
    running = client.cluster_id
    if access.secrets.credentials.get("cluster-id") == running:
        return []
    kube, namespace = access.kube, access.settings.cluster.namespace
    secret = kube.get("Secret", namespace, _SECRET)
    claims = kube.list("PersistentVolumeClaim", namespace, manifests.selector_text("kafka"))
    if secret is None or not all(created(each) < created(secret) for each in claims):
        return []
    data = secret["data"] | encoded({"cluster-id": running})
    kube.replace(secret | {"apiVersion": "v1", "kind": "Secret", "data": data})
    return [f"secret/{_SECRET}"]
