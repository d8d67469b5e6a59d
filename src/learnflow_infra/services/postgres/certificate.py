"""How a running PostgreSQL takes up the certificate in its Secret: no session ends.

The server reads the files again when it reloads its configuration.
"""

from __future__ import annotations

from learnflow_infra.services import Access
from learnflow_infra.services.postgres.client import POD, psql
from learnflow_infra.services.postgres.sql import literal
from learnflow_infra.services.shared import rotation

FOLDER = "/etc/postgres-tls"
_FILE = literal(f"{FOLDER}/tls.crt")
_READ = "certificate in the pod"


def script(wanted: str) -> str:
    """Reloads where the file was written after the server read it, and prints whether the file is
    the certificate that is wanted."""
    # The file's time is in whole seconds.
    return f"""
select '{_READ}' where {_is(wanted)};
select pg_reload_conf() where {_is(wanted)}
  and (pg_stat_file({_FILE})).modification >= date_trunc('second', pg_conf_load_time());
"""


def is_read(output: str) -> bool:
    """Whether `script` printed that the pod has the certificate."""
    return _READ in output


def wait_for_file(access: Access, certificate: str) -> None:
    """Wait until the certificate is a file in the pod, and let the server read it.

    Raises Failure(certificate-pending).
    """
    rounds = rotation.begin(access, POD)
    output = psql(
        access,
        f"""
do $wait$ begin
  for round in 1..{rounds} loop
    exit when {_is(certificate)};
    perform pg_sleep({rotation.POLL_SECONDS});
  end loop;
end $wait$;
select '{_READ}', pg_reload_conf() where {_is(certificate)};
""",
    )
    if not is_read(output):
        raise rotation.pending(
            "postgres", f"pod {POD} does not have the certificate of its Secret yet"
        )


def _is(certificate: str) -> str:
    return f"pg_read_file({_FILE}) = {literal(certificate)}"
