"""PostgreSQL lets in who belongs, for what was declared, and changes certificates as it runs."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pg8000.native
import pytest
from cryptography import x509
from pg8000.exceptions import DatabaseError, InterfaceError

from issued import of_a_year
from learnflow_infra.host.x509 import Authority, CertificateAndKey
from learnflow_infra.services.shared import tls

from .conftest import NAMESPACE, Person

USERS = '{name = "reports", access = "read"}, {name = "data_loader", access = "write"}'
DENIED = "42501"  # insufficient_privilege
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def psql(person: Person, *statements: str, database: str = "learnflow") -> str:
    """As the server's own user, over its socket."""
    commands = [word for each in statements for word in ("-c", each)]
    return person.kubectl(
        *("exec", "-n", NAMESPACE, "postgres-0", "--", "psql", "-qtA", "-v", "ON_ERROR_STOP=1"),
        *("-U", "postgres", "-d", database, *commands),
    )


def declare(person: Person, users: str, *, more: str = "") -> list[str]:
    """`up` with these users; says what it changed."""
    person.settings(f"[postgres]\nusers = [{users}]\n{more}")
    answer = person.run("up", "postgres", "--json")
    assert answer.exit_code == 0, answer.stdout
    changed: list[str] = answer.json["changed"]
    return changed


class Door:
    """The port on localhost that `connect` opens, and logins through it."""

    def __init__(self, person: Person, hint: dict[str, str]) -> None:
        self.person = person
        self.hint = hint

    @property
    def context(self) -> ssl.SSLContext:
        """A strict client's, with the authority of the connection Secret as it is now."""
        authority = self.person.secret("postgres-connection")["ca.crt"]
        return ssl.create_default_context(cadata=authority)

    def login(
        self,
        user: str = "learnflow",
        password: str | None = None,
        database: str = "learnflow",
        *,
        encrypted: bool = True,
    ) -> pg8000.native.Connection:
        name = "postgres-connection" if user == "learnflow" else f"postgres-connection-{user}"
        if password is None:
            password = self.person.secret(name.replace("_", "-"))["password"]
        return pg8000.native.Connection(
            user,
            host="localhost",
            port=int(self.hint["port"]),
            database=database,
            password=password,
            ssl_context=self.context if encrypted else False,
            timeout=20,
        )

    def refuses(self, state: str, *arguments: Any, **more: Any) -> str:
        """What the server said to a login that it refused with this SQLSTATE."""
        with pytest.raises((DatabaseError, InterfaceError)) as raised:
            self.login(*arguments, **more)
        said = server_error(raised.value)
        assert said["C"] == state, said
        return said["M"]

    @contextlib.contextmanager
    def handshake(self, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
        """TLS, and no login yet."""
        with socket.create_connection(("localhost", int(self.hint["port"])), 20) as plain:
            plain.sendall(SSL_REQUEST)
            assert plain.recv(1) == b"S"
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                yield secure


def server_error(error: BaseException | None) -> dict[str, str]:
    """The server's own error behind that of a client's failed goodbye."""
    while error is not None:
        if error.args and isinstance(error.args[0], dict):
            return error.args[0]
        error = error.__cause__ or error.__context__
    raise AssertionError("the server said nothing")


@contextlib.contextmanager
def connecting(person: Person) -> Iterator[Door]:
    process = person.start("connect", "postgres", "--json")
    assert process.stdout is not None
    try:
        yield Door(person, json.loads(process.stdout.readline())["connections"]["postgres"])
    finally:
        process.terminate()
        process.wait(20)
        process.communicate()


@pytest.fixture(scope="module")
def declared(deployed: Person) -> Iterator[Person]:
    """Two more users; one table is older than they are, and one schema younger."""
    psql(deployed, "set role learnflow", "create table older as select 1 as n")
    declare(deployed, USERS)
    psql(deployed, "set role learnflow", "create schema mine", "create table mine.younger (n int)")
    yield deployed
    psql(deployed, "drop table older", "drop schema mine cascade")
    declare(deployed, "")
    deployed.settings("")


@pytest.fixture(scope="module")
def door(declared: Person) -> Iterator[Door]:
    with connecting(declared) as opened:
        yield opened


def test_up_again_with_users_changes_nothing(declared: Person) -> None:
    assert declare(declared, USERS) == []


def test_the_connection_secrets_say_what_a_strict_client_needs(declared: Person) -> None:
    authority = declared.secret("learnflow-authority")
    for name, user in (("", "learnflow"), ("-reports", "reports"), ("-data-loader", "data_loader")):
        values = declared.secret(f"postgres-connection{name}")
        assert values["username"] == user
        assert values["sslmode"] == "verify-full"
        assert values["uri"].endswith("@postgres.learnflow.svc:5432/learnflow?sslmode=verify-full")
        assert values["ca.crt"] == authority["tls.crt"]
    assert "tls.key" not in declared.secret("postgres-connection")


def test_connect_leaves_the_authority_where_a_client_can_name_it(door: Door) -> None:
    file = Path(door.hint["sslrootcert"])
    assert file.read_text() == door.person.secret("postgres-connection")["ca.crt"]
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_the_proof_of_a_password_is_bound_to_the_tls_channel(door: Door) -> None:
    with door.login() as session:
        assert session.auth.mechanism_name == "SCRAM-SHA-256-PLUS"


# ---- who does not get in


@pytest.mark.intruder("asks PostgreSQL for data without a password", by="SCRAM-SHA-256")
def test_no_password(door: Door) -> None:
    words = b"user\0learnflow\0database\0learnflow\0\0"
    with door.handshake(door.context) as server:
        server.sendall(struct.pack("!ii", 8 + len(words), 196608) + words)
        kind, _, code = struct.unpack("!cii", server.recv(9))
        assert (kind, code) == (b"R", 10)  # AuthenticationSASL
        query = b"select 1\0"
        server.sendall(b"Q" + struct.pack("!i", 4 + len(query)) + query)
        said = b""
        while data := server.recv(4096):
            said += data
    assert b"08P01" in said or b"28P01" in said, said
    assert b"Z\0\0\0\5" not in said  # ReadyForQuery


@pytest.mark.intruder("logs in to PostgreSQL with a wrong password", by="SCRAM-SHA-256")
def test_a_wrong_password(door: Door) -> None:
    door.refuses("28P01", password="wrong")


@pytest.mark.intruder("logs in to PostgreSQL with another user's password", by="SCRAM-SHA-256")
def test_another_users_password(door: Door) -> None:
    password = door.person.secret("postgres-connection-reports")["password"]
    door.refuses("28P01", password=password)


@pytest.mark.parametrize("database", ["postgres", "template1"])
@pytest.mark.parametrize("user", ["learnflow", "reports"])
@pytest.mark.intruder("opens another database ({})", by="PostgreSQL's privileges")
def test_another_database(door: Door, user: str, database: str) -> None:
    assert "permission denied" in door.refuses(DENIED, user, database=database)


@pytest.mark.intruder("logs in to PostgreSQL in the clear", by="pg_hba.conf")
def test_in_the_clear(door: Door) -> None:
    assert "no encryption" in door.refuses("28000", encrypted=False)


@pytest.mark.intruder("logs in as the superuser, even with a right password", by="pg_hba.conf")
def test_the_superuser_over_the_network(door: Door) -> None:
    psql(door.person, "alter role postgres password 'right'")
    try:
        assert "pg_hba.conf rejects" in door.refuses("28000", "postgres", "right")
        said = door.refuses("28000", "postgres", "right", database="postgres")
        assert "pg_hba.conf rejects" in said
    finally:
        psql(door.person, "alter role postgres password null")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.intruder("offers PostgreSQL no TLS newer than 1.1", by="TLS 1.2 at least")
def test_an_old_protocol(door: Door) -> None:
    old = tls.lax()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="TLSV1_ALERT_PROTOCOL_VERSION"), door.handshake(old):
        pass


@pytest.mark.intruder(
    "offers PostgreSQL no suite with authenticated encryption", by="the suites that it is set to"
)
def test_a_suite_without_authenticated_encryption(door: Door) -> None:
    weak = tls.lax()
    weak.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA")
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"), door.handshake(weak):
        pass


@pytest.mark.intruder(
    "asks for the server's data as a role made by hand", by="PostgreSQL's privileges"
)
def test_a_role_that_is_not_declared_has_no_privileges(door: Door) -> None:
    psql(door.person, "create role stranger login password 'right'")
    try:
        assert "permission denied" in door.refuses(DENIED, "stranger", "right")
        psql(door.person, "grant connect on database learnflow to stranger")
        with door.login("stranger", "right") as session:
            for schema in ("public", "mine"):
                denied(session, f"select from {schema}.older", f"schema {schema}")
            denied(session, "create temporary table t (n int)", "temporary")
    finally:
        psql(door.person, "drop owned by stranger", "drop role stranger")


# ---- who is in and wants more


def denied(session: pg8000.native.Connection, statement: str, words: str = "") -> None:
    with pytest.raises(DatabaseError) as raised:
        session.run(statement)
    said = server_error(raised.value)
    assert said["C"] == DENIED, said
    assert words in said["M"]


@pytest.mark.parametrize(
    "statement",
    [
        "set role postgres",
        "set session authorization postgres",
        "alter role learnflow superuser",
        "alter role learnflow createrole",
        "alter role learnflow bypassrls",
        "alter role postgres password 'mine'",
        "grant postgres to learnflow",
        "grant pg_execute_server_program to learnflow",
        "create role intruder superuser",
        "create database intruder",
        "copy (select 1) to program 'id'",
        "copy (select 1) to '/tmp/file'",
        "create temporary table t (line text); copy t from '/etc/passwd'",
        "select pg_read_file('/etc/postgres-tls/tls.key')",
        "select lo_import('/etc/postgres-tls/tls.key')",
        "select rolpassword from pg_authid",
        "select passwd from pg_shadow",
        "alter system set ssl = off",
        "set session_replication_role = replica",
        "create extension file_fdw",
        "create function f() returns int language c as 'libc', 'abort'",
        "create event trigger t on ddl_command_end execute function version()",
        "select pg_reload_conf()",
        "select pg_switch_wal()",
    ],
)
@pytest.mark.intruder("as the application: `{}`", by="PostgreSQL's privileges")
def test_the_application_is_no_superuser(door: Door, statement: str) -> None:
    with door.login() as session:
        *before, last = statement.split("; ")
        for each in before:
            session.run(each)
        denied(session, last)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into older values (2)",
        "update older set n = 2",
        "delete from older",
        "truncate older",
        "drop table older",
        "alter table older add m int",
        "select n from older for update",
        "create table public.mine (n int)",
        "create table mine.another (n int)",
        "create schema intruder",
        "create temporary table t (n int)",
        "set role learnflow",
        "select rolpassword from pg_authid",
        "comment on database learnflow is 'mine'",
    ],
)
@pytest.mark.intruder("as a user that may read: `{}`", by="PostgreSQL's privileges")
def test_a_user_that_reads_cannot_write(door: Door, statement: str) -> None:
    with door.login("reports") as session:
        assert session.run("select n from older") == [[1]]
        assert session.run("select n from mine.younger") == []
        denied(session, statement)


@pytest.mark.parametrize(
    "statement", ["truncate older", "drop table older", "create table public.mine (n int)"]
)
@pytest.mark.intruder("as a user that may write rows: `{}`", by="PostgreSQL's privileges")
def test_a_user_that_writes_rows_owns_nothing(door: Door, statement: str) -> None:
    with door.login("data_loader") as session:
        for table in ("older", "mine.younger"):
            session.run(f"insert into {table} values (2)")
            session.run(f"update {table} set n = 3 where n = 2")
            session.run(f"delete from {table} where n = 3")
        denied(session, statement)


@pytest.mark.intruder("puts functions in the way of the superuser's own", by="pg_catalog alone")
def test_what_the_application_puts_in_the_way_is_not_run(door: Door) -> None:
    trap = """create function public.{} as
        $$ begin execute 'alter role learnflow superuser'; return $1; end $$ language plpgsql"""
    psql(door.person, "create table by_hand (n int)")  # so that there is a right to grant
    with door.login() as session:
        for signature in (
            "format(text, name) returns text",
            "format(text, text) returns text",
            "has_schema_privilege(text, oid, text) returns text",
            "aclexplode(aclitem[]) returns aclitem[]",
        ):
            session.run(trap.format(signature))
        session.run("alter database learnflow set search_path = public, pg_catalog")
    try:
        assert "privileges of learnflow_read and learnflow_write" in declare(door.person, USERS)
        rolsuper = "select rolsuper from pg_roles where rolname = 'learnflow'"
        assert psql(door.person, rolsuper, database="postgres").strip() == "f"
    finally:
        psql(
            door.person,
            "alter database learnflow reset search_path",
            "drop table public.by_hand",
            "drop function public.format(text, name), public.format(text, text), "
            "public.has_schema_privilege(text, oid, text), public.aclexplode(aclitem[])",
            database="learnflow",
        )


def test_a_right_given_by_hand_is_taken_back(door: Door) -> None:
    psql(
        door.person,
        "alter role reports superuser",
        "grant pg_monitor to reports",
        "grant all on schema public to public",
        "grant connect on database postgres to public",
    )
    changed = declare(door.person, USERS)
    assert changed == ["role reports", "privileges of public"]
    door.refuses(DENIED, "reports", database="postgres")
    with door.login("reports") as session:
        denied(session, "create table public.mine (n int)")
        assert session.run("select pg_has_role('pg_monitor', 'member')") == [[False]]


@pytest.mark.intruder("logs in as a user that was removed", by="the declared users")
def test_a_user_that_is_removed_is_out(door: Door) -> None:
    before = door.person.secret("postgres-connection-data-loader")["password"]
    psql(door.person, "create table left_behind (n int)")
    with door.handshake(door.context) as server:
        # The library's own socket could not be closed once the server ended the session.
        session = pg8000.native.Connection(
            "data_loader", password=before, database="learnflow", sock=server, ssl_context=False
        )
        psql(door.person, "alter table left_behind owner to data_loader")
        changed = declare(door.person, '{name = "reports", access = "read"}')
        assert "secret/postgres-connection-data-loader" in changed
        assert "roles no longer declared" in changed
        with pytest.raises((DatabaseError, InterfaceError)):
            session.run("select 1")
    door.refuses("28P01", "data_loader", before)
    owner = "select tableowner from pg_tables where tablename = 'left_behind'"
    assert psql(door.person, owner).strip() == "learnflow"
    psql(door.person, "drop table left_behind")
    declare(door.person, USERS)
    assert door.person.secret("postgres-connection-data-loader")["password"] != before
    door.refuses("28P01", "data_loader", before)
    with door.login("data_loader") as session:
        assert session.run("select n from older") == [[1]]


@pytest.mark.intruder("writes with a right that was taken away", by="the declared users")
def test_a_right_that_is_no_longer_declared_is_gone(door: Door) -> None:
    declare(door.person, USERS.replace("write", "read"))
    with door.login("data_loader") as session:
        assert session.run("select n from older") == [[1]]
        denied(session, "insert into older values (2)")
    declare(door.person, USERS)


# ---- certificates


def of_the_pod(person: Person) -> tuple[str, int]:
    (pod,) = person.objects("pods", "-l", "app.kubernetes.io/name=postgres")
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


def as_patch(pair: CertificateAndKey) -> str:
    files = {"tls.crt": pair.certificate, "tls.key": pair.key}
    return json.dumps({"stringData": files | {"tls.pem": pair.key + pair.certificate}})


def present(person: Person, pair: CertificateAndKey) -> None:
    """Let the running server present another certificate."""
    in_namespace = ("-n", NAMESPACE)
    person.kubectl("patch", "secret", "postgres-tls", *in_namespace, "-p", as_patch(pair))
    mark = f"looked-at={secrets.token_hex(4)}"
    person.kubectl("annotate", "pod", "postgres-0", *in_namespace, "--overwrite", mark)
    read = f"pg_read_file('/etc/postgres-tls/tls.crt') = '{pair.certificate}'"
    wait = f"for n in 1..1500 loop exit when {read}; perform pg_sleep(0.1); end loop"
    psql(person, f"do $$ begin {wait}; assert {read}; end $$", "select pg_reload_conf()")


def signer(person: Person) -> Authority:
    values = person.secret("learnflow-authority")
    return Authority(CertificateAndKey(values["tls.crt"], values["tls.key"]))


def certificate_of(person: Person, case: str) -> CertificateAndKey:
    names = ["postgres.learnflow.svc", "localhost"]
    if case == "a foreign authority":
        foreign = Authority.new("learnflow-infra", 365)
        return foreign.issue("postgres", 365, alternatives=names, client=False)
    if case == "another name":
        return signer(person).issue("postgres", 365, alternatives=["elsewhere"], client=False)
    return of_a_year(signer(person), names, left=-1 if case == "an ended life" else 20)


CASES = {
    "a foreign authority": "certificate-authority",
    "another name": "certificate-name",
    "an ended life": "certificate-expired",
    "a nearly ended life": "certificate-ending",
}


@pytest.mark.parametrize(("case", "code"), CASES.items(), ids=CASES)
@pytest.mark.intruder("shows clients of PostgreSQL a certificate of {}", by="strict TLS clients")
def test_a_certificate_is_checked_and_renewed_while_the_server_runs(
    door: Door, case: str, code: str
) -> None:
    person = door.person
    pod = of_the_pod(person)
    with door.login() as session:
        session.run("create temporary table mine as select 7 as n")
        present(person, certificate_of(person, case))
        answer = person.run("verify", "postgres", "--json")
        assert answer.exit_code == 1
        assert answer.codes == [code], answer.stdout
        answer = person.run("connect", "postgres", "--json")
        assert (answer.exit_code, answer.codes) == (1, [code])
        assert declare(person, USERS) == ["secret/postgres-tls"]
        shown = ssl.PEM_cert_to_DER_cert(person.secret("postgres-tls")["tls.crt"])
        with door.handshake(door.context) as server:
            assert server.getpeercert(binary_form=True) == shown
        assert person.run("verify", "postgres").exit_code == 0
        assert session.run("select n from mine") == [[7]]
    assert of_the_pod(person) == pod
    assert declare(person, USERS) == []


def test_an_authority_that_is_lost_is_made_again_and_all_follow(door: Door) -> None:
    person = door.person
    pod, before = of_the_pod(person), person.secret("postgres-connection")["ca.crt"]
    kept = signer(person).pair
    person.kubectl("delete", "secret", "learnflow-authority", "-n", NAMESPACE)
    changed = declare(person, USERS)
    assert {"secret/learnflow-authority", "secret/postgres-tls"} <= set(changed)
    after = person.secret("postgres-connection")["ca.crt"]
    assert after == person.secret("learnflow-authority")["tls.crt"] != before
    assert of_the_pod(person) == pod
    old = ssl.create_default_context(cadata=before)
    with pytest.raises(ssl.SSLCertVerificationError), door.handshake(old):
        pass
    with door.login() as session:
        assert session.run("select 1") == [[1]]
    # The other service still has the one that was lost.
    person.kubectl("patch", "secret", "learnflow-authority", "-n", NAMESPACE, "-p", as_patch(kept))
    declare(person, USERS)
    assert person.secret("postgres-connection")["ca.crt"] == before


def test_an_up_that_was_broken_off_before_the_server_read_its_secret(door: Door) -> None:
    person = door.person
    shown = x509.load_pem_x509_certificate(person.secret("postgres-tls")["tls.crt"].encode())
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    alternatives = [*names.get_values_for_type(x509.DNSName), *addresses]
    pair = signer(person).issue("postgres", 365, alternatives=alternatives, client=False)
    person.kubectl("patch", "secret", "postgres-tls", "-n", NAMESPACE, "-p", as_patch(pair))
    assert declare(person, USERS) == []
    with door.handshake(door.context) as server:
        new = ssl.PEM_cert_to_DER_cert(pair.certificate)
        assert server.getpeercert(binary_form=True) == new


# ---- encryption off


def test_encryption_can_be_turned_off_and_on(person: Person, elsewhere: str) -> None:
    # Another port: the other tests keep the usual one open.
    settings = f"""
[cluster]
namespace = "{elsewhere}"
[postgres]
host_port = 15433
[security]
encryption = """
    person.settings(f"{settings}false\n")
    answer = person.run("up", "postgres", "--json", timeout=300)
    assert answer.exit_code == 0, answer.stdout
    assert not any("tls" in each or "authority" in each for each in answer.json["changed"])
    values = person.secret("postgres-connection", elsewhere)
    assert values["sslmode"] == "disable" and values["uri"].endswith("?sslmode=disable")
    assert "ca.crt" not in values
    said = person.run("status", "postgres")
    assert " OFF " in said.stdout
    with connecting(person) as opened:
        assert "sslrootcert" not in opened.hint
        port = int(opened.hint["port"])
        with socket.create_connection(("localhost", port), 20) as plain:
            plain.sendall(SSL_REQUEST)
            assert plain.recv(1) == b"N"
    patch = json.dumps({"stringData": {"sslmode": "verify-full", "ca.crt": "x"}})
    person.kubectl("patch", "secret", "postgres-connection", "-n", elsewhere, "-p", patch)
    assert person.run("verify", "postgres", "--json").codes == ["connection-differs"]
    person.settings(f"{settings}true\n")
    answer = person.run("up", "postgres", "--json", timeout=300)
    assert answer.exit_code == 0, answer.stdout
    assert {"secret/learnflow-authority", "secret/postgres-tls"} <= set(answer.json["changed"])
    assert person.run("verify", "postgres").exit_code == 0
    said = person.run("status", "postgres")
    assert " until 20" in said.stdout


def test_two_first_ups_at_once_make_one_authority(person: Person, elsewhere: str) -> None:
    first = person.start("up", "kafka", "--json")
    second = person.run("up", "postgres", "--json", timeout=300)
    said, _ = first.communicate(timeout=300)
    assert (second.exit_code, first.returncode) == (0, 0), second.stdout + said
    made = [json.loads(each)["changed"] for each in (said, second.stdout)]
    assert sum("secret/learnflow-authority" in each for each in made) == 1
    authority = person.secret("learnflow-authority", elsewhere)["tls.crt"]
    for service in ("kafka", "postgres"):
        assert person.secret(f"{service}-tls", elsewhere)["ca.crt"] == authority
    assert person.run("verify").exit_code == 0
