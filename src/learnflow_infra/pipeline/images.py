"""Images into the cluster: those already there, pulled, or built from packages and loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from learnflow_infra.cluster import Provider, Say, canonical
from learnflow_infra.cluster.context import how_to_load
from learnflow_infra.diagnosis.reasons import cause_of
from learnflow_infra.diagnosis.symptoms import short
from learnflow_infra.findings.failures import Failure, Finding, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import CommandFailed
from learnflow_infra.services import Service
from learnflow_infra.settings import Settings

# What a registry that was reached says of an image.
_FINAL = {"image-denied", "image-name-invalid", "image-not-found"}
_PULL_CODES = {
    "image-absent",
    "image-denied",
    "image-not-found",
    "image-not-pulled",
    "image-pull-limited",
    "image-pull-slow",
    "image-registry-unreachable",
}


def supply(
    provider: Provider,
    settings: Settings,
    services: Sequence[Service],
    deadline: Deadline,
    say: Say,
) -> Mapping[str, str]:
    """See that the node has every service's image.

    Their `source` is `registry`, `packages`, or `auto`: packages where no registry can be reached.
    A cluster that pulls for itself is left to do so; returned is how the user loads what was built
    for it, by reference. Raises Failure.
    """
    present = provider.images(deadline)
    source = settings.images.source
    wanted = list(dict.fromkeys(settings.services[each.name].image for each in services))
    if present is None:
        if source != "packages":
            say(f"{provider.context}: its nodes pull {', '.join(wanted)} themselves")
            return {}
        built = _built(services, dict.fromkeys(wanted, ""), deadline, say)
        return {each: how_to_load(provider.context, archive) for each, archive in built.items()}
    missing = {each: "" for each in wanted if canonical(each) not in present}
    if missing and source != "packages":
        missing = _pulled(provider, missing, source, deadline, say)
    if missing:
        _load(provider, services, missing, deadline, say)
    return {}


def with_loading(findings: Iterable[Finding], image: str, loading: str) -> list[Finding]:
    """The findings of a service; what a pull fails of is mended by loading the built image."""
    return [
        replace(each, remedy=f"Load the built image of {image}: {loading}; then repeat.")
        if each.code in _PULL_CODES
        else each
        for each in findings
    ]


def _pulled(
    provider: Provider, references: Iterable[str], source: str, deadline: Deadline, say: Say
) -> dict[str, str]:
    """Pull side by side, and return those that did not come, each with the reason."""
    for each in references:
        say(f"{each}: pulling")

    def pull(reference: str) -> str:
        try:
            provider.pull(reference, deadline)
        except (CommandFailed, Failure) as error:
            return error.reason if isinstance(error, CommandFailed) else str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        refusals = dict(zip(references, pool.map(pull, references), strict=True))
    absent = _absent(provider, references, deadline)
    if absent and source == "registry":
        raise Failure(*(_refused(each, refusals[each]) for each in absent))
    for each in absent:
        say(f"{each}: no registry gave it{f' ({why})' if (why := refusals[each]) else ''}")
    return {each: refusals[each] for each in absent}


def _load(
    provider: Provider,
    services: Sequence[Service],
    references: Mapping[str, str],
    deadline: Deadline,
    say: Say,
) -> None:
    for reference, archive in _built(services, references, deadline, say).items():
        say(f"{reference}: loading the compatible image built from packages")
        try:
            provider.load(archive, deadline)
        except CommandFailed as error:
            raise Failure(finding("image-load-failed", f"{reference}: {error}")) from error
    if absent := _absent(provider, references, deadline):
        message = f"not on the node after loading: {', '.join(absent)}"
        raise Failure(finding("image-load-failed", message))


def _built(
    services: Sequence[Service], references: Mapping[str, str], deadline: Deadline, say: Say
) -> dict[str, Path]:
    """The archives of the compatible images, built side by side; the references come with the
    reason why they could not be pulled."""
    from learnflow_infra import image_builder

    recipes = {each.recipe.reference: each.recipe for each in services if each.recipe}

    def archive(reference: str) -> Path:
        if (recipe := recipes.get(reference)) is None:
            refused = _refused(reference, references[reference])
            if refused.code in _FINAL:
                raise Failure(refused)
            message = f"{reference}: what can be built here is {', '.join(recipes) or 'nothing'}"
            if reason := references[reference]:
                message += f"; its pull failed: {short(reason)}"
            raise Failure(finding("image-not-buildable", message))
        return image_builder.archive(recipe, deadline, say)

    with ThreadPoolExecutor(len(references)) as pool:
        return dict(zip(references, pool.map(archive, references), strict=True))


def _absent(provider: Provider, references: Iterable[str], deadline: Deadline) -> list[str]:
    """Those that the node does not list: Minikube ends well although nothing came."""
    present = provider.images(deadline) or set()
    return [each for each in references if canonical(each) not in present]


def _refused(reference: str, reason: str) -> Finding:
    """The finding of a pull that failed, told as the node would."""
    cause = cause_of("ErrImagePull", reason) or ("image-not-pulled", 0)
    return finding(cause[0], f"{reference}: {reason or 'no registry gave it'}")
