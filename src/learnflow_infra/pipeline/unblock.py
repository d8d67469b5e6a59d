"""What Kubernetes tries ever more rarely, up to five minutes apart, or not again: tried now."""

from __future__ import annotations

from learnflow_infra.diagnosis.symptoms import backs_off, claims_of
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import at, name_of
from learnflow_infra.services import Part
from learnflow_infra.settings import Settings

_RETRIED = "learnflow-app/retried"


def unblock(kube: Kube, settings: Settings, part: Part) -> list[str]:
    """Have the missing pods made, those that are unscheduled looked at, and those that
    back off replaced; says which ones."""
    namespace = settings.cluster.namespace
    pods = kube.list("Pod", namespace, manifests.selector_text(part.name))
    if len(pods) < part.pods:
        kube.annotate("StatefulSet", namespace, part.name, _RETRIED)
    if unscheduled := [each for each in pods if not at(each, "spec", "nodeName")]:
        for claim in claims_of(unscheduled, kube.list("PersistentVolumeClaim", namespace)):
            kube.annotate("PersistentVolumeClaim", namespace, name_of(claim), _RETRIED)
    waiting = [name_of(each) for each in pods if backs_off(each)]
    return [f"pod/{name}" for name in waiting if kube.delete("Pod", namespace, name)]
