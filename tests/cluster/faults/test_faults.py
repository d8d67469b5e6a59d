"""Every fault that the modules beside this one hold: injected for real, one at a time."""

from __future__ import annotations

import importlib

import pytest

from . import table
from .harness import FAULTS, Fault, Stand, judge, parameters

for each in (
    *("access", "admission", "containers", "images", "logs", "scheduling", "volumes"),
    *("services", "kafka", "postgres"),
):
    importlib.import_module(f".{each}", __package__)


@pytest.mark.parametrize("fault", parameters(FAULTS))
def test_a_fault_is_named(fault: Fault, stand: Stand) -> None:
    with fault.inject(stand):
        outcome = stand.observe(fault.command, fault.sign)
    judge(fault, outcome)
    table.record(fault, outcome)
