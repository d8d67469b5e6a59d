"""The server's parameters as the settings declare them.

Those that only a start reads are on the command line, so that a change of them is rolled out, and
put back where the server does not start; the others are written by ALTER SYSTEM and reloaded.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from learnflow_infra.services.postgres.sql import array, heading, literal

# What the deployment itself sets, and what follows it.
_CONNECTIONS = "as clients, probes and policies rely on it"
_ENCRYPTION = "which follows security.encryption"
_LOG = "as the diagnosis reads the pod's log"
OWNED = {
    **dict.fromkeys(
        ("listen_addresses", "port", "unix_socket_directories", "unix_socket_permissions"),
        _CONNECTIONS,
    ),
    **dict.fromkeys(("hba_file", "ident_file", "password_encryption"), "for logins"),
    **dict.fromkeys(("config_file", "data_directory", "external_pid_file"), "by its volume"),
    **dict.fromkeys(("logging_collector", "log_destination"), _LOG),
    **dict.fromkeys(
        (
            *("ssl", "ssl_ca_file", "ssl_cert_file", "ssl_ciphers", "ssl_key_file"),
            *("ssl_crl_file", "ssl_crl_dir", "ssl_passphrase_command"),
        ),
        _ENCRYPTION,
    ),
}
# Of the context `postmaster` in PostgreSQL 17 and 18 (select name from pg_settings where context =
# 'postmaster'); an extension's, which have a dot in their names, may be of it as well.
# fmt: off
_AT_START = frozenset((
    "archive_mode", "autovacuum_freeze_max_age", "autovacuum_max_workers",
    "autovacuum_multixact_freeze_max_age", "autovacuum_worker_slots", "bonjour",
    "bonjour_name", "cluster_name", "commit_timestamp_buffers", "debug_io_direct",
    "dynamic_shared_memory_type", "event_source", "file_copy_method", "huge_page_size",
    "huge_pages", "idle_replication_slot_timeout", "io_max_combine_limit",
    "io_max_concurrency", "io_method", "jit_provider", "max_active_replication_origins",
    "max_connections", "max_files_per_process", "max_locks_per_transaction",
    "max_logical_replication_workers", "max_notify_queue_pages",
    "max_pred_locks_per_transaction", "max_prepared_transactions", "max_replication_slots",
    "max_wal_senders", "max_worker_processes", "min_dynamic_shared_memory",
    "multixact_member_buffers", "multixact_offset_buffers", "notify_buffers",
    "recovery_target", "recovery_target_action", "recovery_target_inclusive",
    "recovery_target_lsn", "recovery_target_name", "recovery_target_time",
    "recovery_target_timeline", "recovery_target_xid", "reserved_connections",
    "serializable_buffers", "shared_buffers", "shared_memory_type",
    "shared_preload_libraries", "subtransaction_buffers", "summarize_wal",
    "superuser_reserved_connections", "track_activity_query_size", "track_commit_timestamp",
    "transaction_buffers", "unix_socket_group", "wal_buffers", "wal_decode_buffer_size",
    "wal_level", "wal_log_hints",
))
# fmt: on
# Lists of names, each of which ALTER SYSTEM would take as a part of the first.
_LISTS = frozenset(
    ("local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces")
)
# Change data capture needs it, and it costs next to nothing where nobody asks for it.
_DEFAULTS = {"wal_level": "logical"}


def on_command_line(declared: Mapping[str, str]) -> list[str]:
    """The arguments of those that are set at the server's start."""
    values = _DEFAULTS | {key: text for key, text in declared.items() if _at_start(key)}
    return _arguments(values)


def tried_out(declared: Mapping[str, str], folder: str) -> list[str]:
    """A command by which the server looks at all of them, beside one that runs on the folder."""
    return ["postgres", "-D", folder, *_arguments(declared), "-C", "server_version"]


def _arguments(values: Mapping[str, str]) -> list[str]:
    return [word for key, text in values.items() for word in ("-c", f"{key}={text}")]


def quoted(arguments: list[str]) -> str:
    """Arguments for the shell of a container's command, in which Kubernetes expands `$(NAME)`."""
    return "".join(f" {shlex.quote(each)}" for each in arguments).replace("$(", "$$(")


def _at_start(name: str) -> bool:
    return name in _AT_START or name in _LISTS or "." in name


def script(declared: Mapping[str, str]) -> str:
    """Makes those so that the server takes while it runs; what was set and is no longer declared is
    the server's default again."""
    values = {key: text for key, text in declared.items() if not _at_start(key)}
    pairs = ", ".join(f"({literal(key)}, {literal(text)})" for key, text in values.items())
    there = "sourcefile ~ 'postgresql\\.auto\\.conf$'"
    reload = "'select from pg_reload_conf()'"
    setting = f"""
select format('alter system set %I = %L', name, value), {reload}
  from (values {pairs}) as wanted (name, value)
  where not exists (select from pg_file_settings f
    where {there} and f.name = wanted.name and f.setting = wanted.value) \\gexec
"""
    return f"""{heading("parameters")}{setting if values else ""}
select format('alter system reset %I', name), {reload} from pg_file_settings
  where {there} and name <> all ({array(values)}) \\gexec
"""
