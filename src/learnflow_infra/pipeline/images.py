"""Images into the cluster: those already there, pulled, or built from packages and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from learnflow_infra.cluster import Provider, Say, canonical
from learnflow_infra.diagnosis.reasons import cause_of
from learnflow_infra.findings.failures import Failure, Finding, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import CommandFailed
from learnflow_infra.services import Service
from learnflow_infra.settings import Settings


def supply(
    provider: Provider,
    settings: Settings,
    services: Sequence[Service],
    deadline: Deadline,
    say: Say,
) -> None:
    """See that the node has every service's image.

    Their `source` is `registry`, `packages`, or `auto`: packages where no registry can be reached.
    A cluster that pulls for itself is left to do so. Raises Failure.
    """
    present = provider.images(deadline)
    if present is None:
        return
    source = settings.images.source
    references = dict.fromkeys(settings.services[each.name].image for each in services)
    missing = [each for each in references if canonical(each) not in present]
    if source != "packages":
        missing = [each for each in missing if not _pulled(provider, each, source, deadline, say)]
    if not missing:
        return
    from learnflow_infra import image_builder

    recipes = {each.recipe.reference: each.recipe for each in services if each.recipe}

    def built(reference: str) -> Path:
        if (recipe := recipes.get(reference)) is None:
            there = ", ".join(recipes) or "none"
            message = f"no image compatible with {reference} can be built here; recipes: {there}"
            raise Failure(finding("image-build-failed", message))
        return image_builder.archive(recipe, deadline, say)

    with ThreadPoolExecutor(len(missing)) as pool:
        archives = list(pool.map(built, missing))
    for reference, archive in zip(missing, archives, strict=True):
        say(f"{reference}: loading the compatible image built from packages")
        try:
            provider.load(archive, deadline)
        except CommandFailed as error:
            raise Failure(finding("image-load-failed", f"{reference}: {error}")) from error


def _refused(reference: str, error: CommandFailed | Failure) -> Finding:
    """The finding of a pull that failed, told as the node would."""
    reason = error.reason if isinstance(error, CommandFailed) else str(error)
    cause = cause_of("ErrImagePull", reason) or ("image-not-pulled", 0)
    return finding(cause[0], f"{reference}: {reason}")


def _pulled(provider: Provider, reference: str, source: str, deadline: Deadline, say: Say) -> bool:
    say(f"{reference}: pulling")
    try:
        provider.pull(reference, deadline)
    except (CommandFailed, Failure) as error:
        if source == "registry":
            raise Failure(_refused(reference, error)) from error
        say(f"{reference}: no registry gave it ({error})")
        return False
    return True
