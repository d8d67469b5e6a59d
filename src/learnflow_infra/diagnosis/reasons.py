"""What Kubernetes' own words mean: a reason and its message, to a cause and how long it may last.

The reasons are those of container states, conditions and events. The kubelet and the controllers
retry nearly everything, so that what lasts is judged by whether a retry can succeed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from learnflow_infra.findings.causes import CAUSES, order

FOREVER = math.inf

# A pattern in the message, its cause, and the seconds for which waiting may still heal it.
_Rows = Sequence[tuple[str, str, float]]

_PULL: _Rows = (
    ("toomanyrequests|too many requests|rate limit", "image-pull-limited", 15),
    (
        r"denied|unauthorized|authorization failed|authentication required|no basic auth|"
        r"\b40[13]\b",
        "image-denied",
        0,
    ),
    (r"manifest unknown|not found|no match for platform|\b404\b", "image-not-found", 0),
    # The kubelet's first retry comes after ten seconds.
    (
        "no such host|connection refused|i/o timeout|unreachable|no route to host|handshake|"
        "x509|certificate|HTTP response to HTTPS|deadline exceeded|EOF|reset by peer|dial tcp|"
        r"server misbehaving|\b50[0234]\b",
        "image-registry-unreachable",
        15,
    ),
    ("no space left", "node-disk-full", 0),
    ("", "image-not-pulled", 15),
)
_REFERENCES: _Rows = (
    ("non-?existent (secret|config) key|couldn't find key", "key-missing", 0),
    ('secrets? "?[^"]*"? not found', "secret-missing", 0),
    ('configmaps? "?[^"]*"? not found', "config-map-missing", 0),
)
_RUN: _Rows = (("executable file not found|unable to find user", "image-unfit", 0),)
_RUNTIME: _Rows = (("deadline ?exceeded|is reserved for", "container-create", 30),)
_SCHEDULING: _Rows = (
    ("bound to non-existent persistentvolume", "volume-lost", 2),
    ("unbound immediate|persistentvolumeclaim|bind(ing)? volumes", "volume-unbound", 120),
    (r"kubernetes\.io/(not-ready|unreachable)|no nodes available", "node-not-ready", 40),
    (r"kubernetes\.io/(memory|disk|pid)-pressure", "node-under-pressure", 5),
    ("Insufficient cpu", "unschedulable-cpu", 0),
    ("Insufficient memory", "unschedulable-memory", 0),
    ("Too many pods", "unschedulable-pods", 0),
    ("volume('s)? node affinity|volume zone|max volume count", "unschedulable-volume", 0),
    ("affinity|selector|topology spread", "unschedulable-affinity", 0),
    # From Kubernetes 1.34 on without the taint's name: it may be that of a node just started.
    (r"taint\(s\)", "unschedulable-taint", 2),
    ("taint|were unschedulable", "unschedulable-taint", 0),
    ("Insufficient", "unschedulable", 0),
    ("", "unschedulable", 10),
)
_ADMISSION: _Rows = (
    ("failed quota: .*must specify", "quota-unspecified", 0),
    ("exceeded quota|failed quota", "quota-exceeded", 0),
    ("being terminated", "namespace-terminating", 0),
    ("violates PodSecurity", "pod-security-refused", 0),
    ("failed calling webhook", "webhook-failing", 10),
    ("webhook .*denied|ValidatingAdmissionPolicy", "webhook-refused", 0),
    (
        r"(maximum|minimum) \S+ usage per|max limit to request ratio|"
        r"must be less than or equal to \S+ limit",
        "limit-range-refused",
        0,
    ),
)
_MOUNT: _Rows = (
    *((pattern, code, 5) for pattern, code, _ in _REFERENCES),
    ("no space left", "volume-full", 0),
    ("", "volume-mount-failed", 30),
)

_REASONS: Mapping[str, _Rows] = {
    # Why a container waits.
    "ErrImagePull": _PULL,
    "ImagePullBackOff": _PULL,
    "RegistryUnavailable": _PULL,
    "ImageInspectError": (("", "image-not-pulled", 15),),
    "InvalidImageName": (("", "image-name-invalid", 0),),
    "ErrImageNeverPull": (("", "image-absent", 0),),
    "CreateContainerConfigError": (*_REFERENCES, ("", "container-config", 0)),
    "CreateContainerError": (*_RUNTIME, ("", "container-create", 0)),
    "RunContainerError": (*_RUNTIME, *_RUN, ("", "container-run", 0)),
    "StartError": (*_RUN, ("", "container-run", FOREVER)),
    "ContainerCannotRun": (*_RUN, ("", "container-run", FOREVER)),
    "CrashLoopBackOff": (("", "container-crashing", 0),),
    # Why a pod has no node, or has lost it. Its controller replaces one that failed.
    "Unschedulable": _SCHEDULING,
    "Evicted": (("exceed", "pod-evicted", 0), ("", "pod-evicted", 30)),
    "OutOfcpu": (("", "unschedulable-cpu", 10),),
    "OutOfmemory": (("", "unschedulable-memory", 10),),
    "OutOfpods": (("", "unschedulable-pods", 10),),
    # Events.
    "FailedCreate": (
        *_ADMISSION,
        (" is invalid: ", "pod-create-refused", 0),
        ("", "pod-create-refused", 10),
    ),
    # What the API server says of an object of ours.
    "Refused": _ADMISSION,
    "FailedMount": _MOUNT,
    "FailedMapVolume": _MOUNT,
    "FailedAttachVolume": _MOUNT,
    "FailedCreatePodSandBox": (("", "pod-sandbox-failed", 30),),
    "ExternalProvisioning": (("", "volume-unbound", 120),),
    "FailedBinding": (("no storage class is set", "storage-class-missing", 5),),
    "ProvisioningFailed": (
        ('storageclass\\S* "[^"]*" not found', "storage-class-missing", 0),
        ("", "volume-provisioning-failed", 15),
    ),
}


def cause_of_log(log: str) -> str | None:
    """The code of the cause that a log's lines name; None where they name none."""
    named = (each for each in CAUSES.values() if each.log)
    found = [each.code for each in named if re.search(each.log, log, re.IGNORECASE)]
    return min(found, key=order, default=None)


def cause_of(reason: str, message: str) -> tuple[str, float] | None:
    """The code of the cause, and the seconds for which waiting may heal it; None where the
    reason is no trouble."""
    for pattern, code, grace in _REASONS.get(reason, ()):
        if re.search(pattern, message[:4096], re.IGNORECASE):
            return code, grace
    return None
