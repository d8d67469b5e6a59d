"""What PostgreSQL's errors mean, by SQLSTATE (PostgreSQL manual, appendix A)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from learnflow_infra.findings.failures import Finding, chain, finding
from learnflow_infra.services.postgres.databases import NO_EXTENSION, RENAMED
from learnflow_infra.services.shared import tls

_CODES = {
    RENAMED: "postgres-database-renamed",
    NO_EXTENSION: "postgres-extension-missing",
    "28P01": "postgres-password",
    "28000": "postgres-role",
    "3D000": "postgres-database-missing",
    "42501": "postgres-role",
    "53100": "postgres-disk-full",
    "53300": "postgres-connections-exhausted",
    "57P01": "postgres-starting",
    "57P02": "postgres-starting",
    "57P03": "postgres-starting",
    "25006": "postgres-read-only",
    "XX001": "postgres-corrupted",
    "XX002": "postgres-corrupted",
    "58P01": "postgres-corrupted",
    "58030": "postgres-corrupted",
}
_STARTING = re.compile(
    r"is starting up|not yet accepting connections|in recovery mode|"
    r"\.s\.PGSQL\.\d+\" failed: (No such file|Connection refused)"
)
_PARAMETER = re.compile(r'\bparameter "')
_DAMAGED = re.compile(r"invalid page in block|could not read blocks?")


def explained(state: str, output: str, where: str, fallback: str = "round-trip-failed") -> Finding:
    """The finding of an error that the server gave, with its own words."""
    code = _CODES.get(state, fallback)
    if state == "28000" and "pg_hba.conf" in output:
        code = "postgres-access-refused"
    elif _PARAMETER.search(output):
        code = "postgres-parameter-refused"
    elif "shared memory segment" in output:
        code = "postgres-shared-memory"
    message = f"{where}: {output[:200]}" + (f" (SQLSTATE {state})" if state else "")
    return finding(code, message, service="postgres")


def of_client(error: Exception, where: str) -> Finding:
    """The finding of an error of pg8000, which hides the server's own behind that of its attempt
    to say goodbye."""
    errors = list(chain(error))
    for each in errors:
        fields = each.args[0] if each.args else None
        if isinstance(fields, Mapping):
            return explained(str(fields.get("C", "")), str(fields.get("M", "")), where)
    if refusal := tls.refused(error, where, "postgres"):
        return refusal
    if any(isinstance(each, TimeoutError) for each in errors):
        return finding("service-slow", f"{where}: no answer in time", service="postgres")
    return finding("connection-lost", f"{where}: {str(error)[:200]}", service="postgres")


def of_psql(stderr: str) -> Finding:
    """The finding of what psql said, which is set to name the SQLSTATE of a statement's error."""
    where = "psql in the pod"
    for line in stderr.splitlines():
        if found := re.search(r"(?:ERROR|FATAL|PANIC):\s+([0-9A-Z]{5}): (.*)", line):
            return explained(found[1], found[2], where, "reconcile-failed")
        if found := re.search(r"(?:ERROR|FATAL|PANIC|error):\s+(.*)", line):
            return explained(_state(line), found[1], where, "reconcile-failed")
    return finding("reconcile-failed", f"{where} failed", service="postgres")


def _state(line: str) -> str:
    """The SQLSTATE of a connection's failure, which libpq does not name."""
    if _STARTING.search(line):
        return "57P03"
    return "XX001" if _DAMAGED.search(line) else ""
