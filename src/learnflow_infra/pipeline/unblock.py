"""What Kubernetes tries ever more rarely, up to five minutes apart, or not again: tried now."""

from __future__ import annotations

from learnflow_infra.diagnosis.symptoms import is_stuck
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import name_of
from learnflow_infra.services import Part
from learnflow_infra.settings import Settings

_RETRIED = "learnflow-app/retried"


def unblock(kube: Kube, settings: Settings, part: Part) -> list[str]:
    """Have the missing pods made and those that are stuck replaced; says which ones."""
    namespace = settings.cluster.namespace
    pods = kube.list("Pod", namespace, manifests.selector_text(part.name))
    if len(pods) < part.pods:
        kube.annotate("StatefulSet", namespace, part.name, _RETRIED)
    stuck = [name_of(each) for each in pods if is_stuck(each)]
    return [f"pod/{name}" for name in stuck if kube.delete("Pod", namespace, name)]
