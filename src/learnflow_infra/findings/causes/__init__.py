"""The causes: all that can go wrong, a module for each kind, in the order in which they block each
other.

What can go wrong with one service alone stands in its own folder and is added to the table there.
"""

from learnflow_infra.findings.causes import (
    admission,
    clients,
    cluster,
    containers,
    deployment,
    images,
    machine,
    rest,
    scheduling,
    service,
    usage,
    volumes,
)
from learnflow_infra.findings.causes.table import CAUSES, Cause, Exit, Rank, order, register

__all__ = ["CAUSES", "Cause", "Exit", "Rank", "order", "register"]

register(Rank.COMMAND, *machine.CAUSES)
register(Rank.COMMAND, *usage.CAUSES)
register(Rank.COMMAND, *cluster.CAUSES)
register(Rank.DEPLOYMENT, *deployment.CAUSES)
register(Rank.PODS, *admission.CAUSES)
register(Rank.PODS, *scheduling.CAUSES)
register(Rank.PODS, *volumes.CAUSES)
register(Rank.PODS, *images.CAUSES)
register(Rank.PODS, *containers.CAUSES)
register(Rank.SERVICE, *service.CAUSES)
register(Rank.SERVICE, *clients.CAUSES)
register(Rank.REST, *rest.CAUSES)
