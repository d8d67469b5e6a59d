"""Shared by all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# On a busy machine a draw can take seconds; slowness is no finding of a property.
settings.register_profile(
    "calm", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.load_profile("calm")
