"""How a running PostgreSQL takes up the certificate in its Secret: no session ends.

The kubelet brings a Secret's new content into a pod at once when the pod itself changes, and
otherwise within a minute or two; the server reads it when it reloads its configuration.
"""

from __future__ import annotations

import base64
import datetime

from learnflow_infra import authority
from learnflow_infra.failures import Failure, finding
from learnflow_infra.services import Access
from learnflow_infra.services.postgres_client import POD, psql
from learnflow_infra.services.postgres_roles import literal

FOLDER = "/etc/postgres-tls"
_FILE = literal(f"{FOLDER}/tls.crt")
_READ = "certificate in the pod"
_RENEWED = "learnflow-app/certificate-renewed"
_POLL_SECONDS = 0.05


def script(wanted: str) -> str:
    """Reloads where the file was written after the server read it, and prints whether the file is
    the certificate that is wanted."""
    # The file's time is in whole seconds.
    return f"""
select '{_READ}' where {_is(wanted)};
select pg_reload_conf() where {_is(wanted)}
  and (pg_stat_file({_FILE})).modification >= date_trunc('second', pg_conf_load_time());
"""


def wanted(access: Access) -> str:
    """The certificate in the Secret. Raises Failure(certificate-pending) where there is none."""
    name = authority.server_secret("postgres")
    secret = access.kube.get("Secret", access.settings.cluster.namespace, name)
    if secret is None:
        raise _pending(f"the Secret {name} is not there")
    return base64.b64decode(secret["data"]["tls.crt"]).decode()


def is_read(output: str) -> bool:
    """Whether `script` printed that the pod has the certificate."""
    return _READ in output


def bring(access: Access, certificate: str) -> None:
    """Wait until the pod has the certificate, and reload. Raises Failure(certificate-pending)."""
    now = datetime.datetime.now(datetime.UTC).isoformat()
    namespace = access.settings.cluster.namespace
    access.kube.annotate("Pod", namespace, POD, {_RENEWED: now})
    rounds = int(access.deadline.remaining() / 2 / _POLL_SECONDS)
    output = psql(
        access,
        f"""
do $wait$ begin
  for round in 1..{rounds} loop
    exit when {_is(certificate)};
    perform pg_sleep({_POLL_SECONDS});
  end loop;
end $wait$;
select '{_READ}', pg_reload_conf() where {_is(certificate)};
""",
    )
    if not is_read(output):
        raise _pending(f"pod {POD} does not have the certificate of its Secret yet")


def _is(certificate: str) -> str:
    return f"pg_read_file({_FILE}) = {literal(certificate)}"


def _pending(message: str) -> Failure:
    return Failure(finding("certificate-pending", message, service="postgres"))
