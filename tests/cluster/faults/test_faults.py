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
    """And what helps, helps: `up` where the remedy is just that, else once the cause is gone."""
    with fault.inject(stand):
        outcome = stand.observe(fault.command, fault.sign)
        judge(fault, outcome)
        if outcome.is_for_up:
            stand.require_proved(fault)
    if not outcome.is_for_up and not fault.unmended:
        stand.mend()
        stand.require_proved(fault)
    table.record(fault, outcome)
