"""`render`: the manifests as YAML that `kubectl apply` takes. No cluster is asked."""

from __future__ import annotations

from learnflow_infra.commands import Request
from learnflow_infra.kubernetes import manifests
from learnflow_infra.report import Report
from learnflow_infra.settings import shown

_HEADER = """\
# Settings: %s
# Secrets are left out: `learnflow-infra up` makes them once, with random values, and keeps them.
"""


def render(request: Request) -> Report:
    """All objects but Secrets, in the order to apply."""
    settings = request.settings
    objects = [manifests.namespace(settings)]
    for service in request.services:
        objects += service.objects(settings)
    inside = [
        f"# Inside {service.name} `learnflow-infra up` makes so: {', '.join(declared)}."
        for service in request.services
        if (declared := service.declared(settings))
    ]
    header = (_HEADER % shown(settings.file)).splitlines()
    lines = [*header, *inside, *manifests.to_yaml(objects).splitlines()]
    return Report("render", lines=lines, details={"manifests": objects})
