"""Of images that a node does not get."""

from __future__ import annotations

from learnflow_infra.findings.causes.table import Cause, Exit

CAUSES = (
    Cause(
        "image-name-invalid",
        Exit.UNHEALTHY,
        "The image's name is no valid reference.",
        "Correct image in infra.toml.",
    ),
    Cause(
        "image-absent",
        Exit.UNHEALTHY,
        "The image is not on the node and may not be pulled.",
        "Load it into the cluster.",
    ),
    Cause(
        "image-not-found",
        Exit.UNHEALTHY,
        "The registry has no image of that name and tag.",
        "Correct image in infra.toml.",
    ),
    Cause(
        "image-not-buildable",
        Exit.UNHEALTHY,
        "An image that no registry gave is none of those that can be built from packages.",
        "Correct image in infra.toml or leave it out; or load the image into the cluster, where "
        "its registry cannot be reached from here.",
    ),
    Cause(
        "image-denied",
        Exit.UNHEALTHY,
        "The registry does not let the cluster have the image.",
        "Check the image's name, or give the namespace's default ServiceAccount an "
        "imagePullSecret.",
    ),
    Cause(
        "image-pull-limited",
        Exit.UNHEALTHY,
        "The registry refuses more pulls for now.",
        "Wait, log in to the registry, or set images.source to packages.",
        shared=True,
    ),
    Cause(
        "image-registry-unreachable",
        Exit.UNHEALTHY,
        "The node cannot reach the image's registry.",
        "Mend the node's way to it, or set images.source to packages.",
        shared=True,
    ),
    Cause(
        "image-pull-slow",
        Exit.UNHEALTHY,
        "A node is still pulling an image.",
        "Wait and repeat, or look at the node's way to the image's registry.",
    ),
    Cause(
        "image-not-pulled",
        Exit.UNHEALTHY,
        "The cluster could not get an image.",
        "Check the image's name and the way to its registry, or set images.source to packages.",
    ),
)
