"""`role`: the permissions that the commands need, as YAML for an administrator to apply.

No cluster is asked.
"""

from __future__ import annotations

from itertools import groupby

from learnflow_infra.commands import Request
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.objects import Object
from learnflow_infra.kubernetes.resources import rules
from learnflow_infra.pipeline import apply
from learnflow_infra.report import Report
from learnflow_infra.settings import shown

NAME = "learnflow-infra"
_API = "rbac.authorization.k8s.io/v1"
_HEADER = f"""\
# Settings: %(settings)s
# All that {NAME} asks of a cluster, for an administrator to apply. Then, for each user:
#   kubectl create rolebinding NAME --role={NAME} --user=USER --namespace=%(namespace)s
#   kubectl create clusterrolebinding NAME --clusterrole={NAME} --user=USER
# Without the second, `up` does not check capacity first, and problems of nodes are not reported.
# Making and removing the namespace itself stays with the administrator.
"""


def role(request: Request) -> Report:
    """The namespace as `up` makes it, a Role in it, and a ClusterRole that only reads."""
    settings = request.settings
    namespace = settings.cluster.namespace
    labels = manifests.labels(manifests.SHARED)
    objects = [
        apply.marked(manifests.namespace(settings)),
        {
            "apiVersion": _API,
            "kind": "Role",
            "metadata": {"name": NAME, "namespace": namespace, "labels": labels},
            "rules": _rules(in_namespace=True),
        },
        {
            "apiVersion": _API,
            "kind": "ClusterRole",
            "metadata": {"name": NAME, "labels": labels},
            "rules": _rules(in_namespace=False),
        },
    ]
    header = _HEADER % {"namespace": namespace, "settings": shown(settings.file)}
    lines = (header + manifests.to_yaml(objects)).splitlines()
    return Report("role", lines=lines, details={"manifests": objects})


def _rules(*, in_namespace: bool) -> list[Object]:
    """RBAC's rules, one for each API group and set of verbs."""

    def group(rule: tuple[str, str, list[str]]) -> tuple[str, list[str]]:
        return rule[0], rule[2]

    together = groupby(sorted(rules(in_namespace=in_namespace), key=group), group)
    return [
        {
            "apiGroups": [api_group],
            "resources": [name for _, name, _ in alike],
            "verbs": list(verbs),
        }
        for (api_group, verbs), alike in together
    ]
