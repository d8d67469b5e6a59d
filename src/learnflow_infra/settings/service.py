"""What the settings of every service have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from learnflow_infra.settings import rules

# What a pod asks for where `cpu` and `memory` are empty, by `cluster.size`: (cpu, memory).
Sizes = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class ServiceSettings:
    """A service's section of infra.toml; each service adds its own settings to these."""

    name: ClassVar[str]
    """The section's name and the service's."""
    sizes: ClassVar[Sizes]

    image: str = rules.required(rules.IMAGE, "The image, with its tag or digest.")
    cpu: str = rules.text("", rules.CPU, "What each pod asks for; empty for the size's:")
    memory: str = rules.text("", rules.MEMORY, "The same, and the limit:")
    volume: str = rules.text(
        "2Gi", rules.SIZE, "The volume of each pod. Fixed while the data is kept, like its class."
    )
    storage_class: str = rules.text(
        "", rules.STORAGE_CLASS, "A StorageClass; empty for the cluster's default."
    )
    host_port: int = rules.number(0, 1024, 65535)

    @property
    def host_ports(self) -> range:
        """The ports on localhost that `connect` opens."""
        return range(self.host_port, self.host_port + 1)

    def check(self) -> None:
        """Raises ValueError where settings that are each valid do not go together."""

    def sized(self, size: str) -> Self:
        """With the size's CPU and memory where none are set."""
        cpu, memory = self.sizes[size]
        return dataclasses.replace(self, cpu=self.cpu or cpu, memory=self.memory or memory)
