"""The section [valkey] of infra.toml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from learnflow_infra.settings import rules
from learnflow_infra.settings.service import ServiceSettings, Sizes

_USER = (r"[a-z][a-z0-9_-]{0,38}", "a user's name such as learnflow: a-z, 0-9, - and _")


@dataclass(frozen=True)
class ValkeySettings(ServiceSettings):
    name: ClassVar[str] = "valkey"
    sizes: ClassVar[Sizes] = {"standard": ("100m", "128Mi"), "small": ("50m", "64Mi")}

    image: str = rules.text("valkey/valkey:8.1.1", rules.IMAGE)
    host_port: int = rules.number(16379, 1024, 65535)
    user: str = rules.text("learnflow", _USER)

    def check(self) -> None:
        if self.user == "default":
            raise ValueError("valkey.user: 'default' is a user that Valkey keeps")
