"""What Kubernetes tries ever more rarely, up to five minutes apart, or not again: tried now."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from learnflow_infra.diagnosis.symptoms import is_stuck
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import name_of, uid_of
from learnflow_infra.services import Part
from learnflow_infra.settings import Settings

_RETRIED = "learnflow-app/retried"


class Unblocked(NamedTuple):
    replaced: list[str]
    """Each as `pod/name`."""
    kept: set[str]
    """The uids of the pods that looked well."""


def unblock(
    kube: Kube, settings: Settings, part: Part, only: Collection[str] | None = None
) -> Unblocked:
    """Have the missing pods made and those that are stuck replaced; of these uids alone where they
    are given."""
    namespace = settings.cluster.namespace
    pods = kube.list("Pod", namespace, manifests.selector_text(part.name))
    if len(pods) < part.pods:
        kube.annotate("StatefulSet", namespace, part.name, _RETRIED)
    stuck = [each for each in pods if is_stuck(each) and (only is None or uid_of(each) in only)]
    names = [name_of(each) for each in stuck]
    return Unblocked(
        [f"pod/{name}" for name in names if kube.delete("Pod", namespace, name)],
        {uid_of(each) for each in pods if each not in stuck},
    )
