"""The page of the faults, as a run measured them."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from .harness import Fault, Outcome


@dataclass(frozen=True)
class Row:
    name: str
    command: str
    code: str
    exit: int
    size: int
    seconds: float


FAULTS: list[Row] = []
ODD: list[Row] = []


def record(fault: Fault, outcome: Outcome) -> None:
    size = len(outcome.text.encode())
    code = outcome.findings[0][0]
    FAULTS.append(Row(fault.name, fault.command, code, outcome.exit_code, size, outcome.seconds))


def record_odd(name: str, command: str, outcome: Outcome) -> None:
    size = len(outcome.text.encode())
    ODD.append(Row(name, command, "", outcome.exit_code, size, outcome.seconds))


def page() -> str:
    """The table as Markdown; the same whatever order the tests ran in."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"
    faults = [
        f"| {r.name} | `{r.command}` | `{r.code}` | {r.exit} | {r.size} | {r.seconds:.1f} |"
        for r in sorted(FAULTS, key=lambda each: (each.code, each.name))
    ]
    odd = [
        f"| {r.name} | `{r.command}` | {r.exit} | {r.size} | {r.seconds:.1f} |"
        for r in sorted(ODD, key=lambda each: each.name)
    ]
    return "\n".join(
        [
            "# Faults",
            "",
            "Each was put into a real cluster, and this is what the command said first. Written",
            "by `make faults`, which fails where it says another code. *Seconds* count from when",
            "the API shows the fault to the command's end; they are the whole command's where the",
            "fault was there before it. *Bytes* are all that it printed. What may heal by itself",
            "is given its time first: pulls, mounts, provisioning, nodes, silent servers.",
            f"Measured on {machine}.",
            "",
            f"{len(faults)} faults:",
            "",
            "| fault | command | code | exit | bytes | seconds |",
            "|---|---|---|---|---|---|",
            *faults,
            "",
            f"{len(odd)} states that look odd and are healthy:",
            "",
            "| state | command | exit | bytes | seconds |",
            "|---|---|---|---|---|",
            *odd,
            "",
        ]
    )
