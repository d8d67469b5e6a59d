"""What PostgreSQL's pods and Secrets are like, and what its psql script is and says."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnflow_infra.diagnosis.reasons import cause_of_log
from learnflow_infra.findings.failures import Failure
from learnflow_infra.kubernetes.secrets import decoded
from learnflow_infra.services.postgres import errors, initialisation, parameters, sql
from learnflow_infra.services.postgres import roles as postgres_roles
from learnflow_infra.services.postgres.service import Postgres, scram_verifier
from learnflow_infra.services.postgres.settings import PostgresSettings
from learnflow_infra.services.registry import sections
from learnflow_infra.settings import Settings, load, parse

USERS = [{"name": "reports"}, {"name": "data_loader", "access": "write"}]


def settings(encryption: bool = True) -> Settings:
    return parse({"security": {"encryption": encryption}, "postgres": {"users": USERS}}, sections)


def secrets(encryption: bool = True) -> dict[str, dict[str, str]]:
    given_ = settings(encryption)
    credentials = decoded(Postgres().credentials(given_))
    made = Postgres().connections(given_, credentials, "PEM" if encryption else "")
    return {each["metadata"]["name"]: decoded(each) for each in made}


def test_each_user_has_a_secret_and_a_password_of_its_own() -> None:
    made = secrets()
    assert [*made] == [
        "postgres-connection",
        "postgres-connection-reports",
        "postgres-connection-data-loader",
    ]
    assert len({each["password"] for each in made.values()}) == 3
    assert {each["ca.crt"] for each in made.values()} == {"PEM"}


@pytest.mark.parametrize("encryption", [True, False])
def test_the_server_offers_what_the_secrets_ask_for(encryption: bool) -> None:
    mode = {each["sslmode"] for each in secrets(encryption).values()}
    assert mode == {"verify-full" if encryption else "disable"}
    workload, _ = (
        each for each in Postgres().objects(settings(encryption)) if each["kind"] == "StatefulSet"
    )
    pod: dict[str, Any] = workload["spec"]["template"]["spec"]
    start = pod["containers"][0]["command"][-1]
    rules = start.split("RULES'\n")[1].split("RULES\n")[0].splitlines()
    assert rules == [
        "local all postgres peer",
        "host all postgres all reject",
        f"{'hostssl' if encryption else 'host'} all all all scram-sha-256",
        f"{'hostssl' if encryption else 'host'} replication all all scram-sha-256",
    ]
    assert ("-c ssl=on" in start) is encryption
    assert ("tls" in {each["name"] for each in pod["volumes"]}) is encryption


def test_the_script_has_no_password_in_it() -> None:
    given_ = settings()
    passwords = decoded(Postgres().credentials(given_))
    names = ("learnflow", "reports", "data_loader")
    verifiers = dict(zip(names, map(scram_verifier, passwords.values()), strict=True))
    script = postgres_roles.script(given_.of(PostgresSettings), verifiers)
    assert all(verifier in script for verifier in verifiers.values())
    assert not any(password in script for password in passwords.values())


def test_what_changed_is_told_by_the_headings_over_commands() -> None:
    output = "there\n# role a\n# role b\nCREATE ROLE\nALTER ROLE\n# database\n\n# role b\nGRANT\n"
    assert sql.changes(output) == ["role b"]
    assert sql.changes("# role a\n# database d\n") == []


@given(st.text())
def test_a_literal_ends_where_it_should(text: str) -> None:
    quoted = sql.literal(text)
    assert quoted[0] == quoted[-1] == "'"
    assert quoted[1:-1].replace("''", "") == text.replace("'", "")
    assert quoted[1:-1].replace("''", "'") == text


VERSION = '[ "$1" != --version ] || exec echo "initdb (PostgreSQL) ${FAKED:-17.6 (Debian 17.6-0)}"'
INITDB = 'mkdir "$2"; echo 17 > "$2/PG_VERSION"'


def started(
    folder: Path, initdb: str = INITDB, version: str = ""
) -> subprocess.CompletedProcess[str]:
    """The container's script, with a volume in the folder and with programs that stand in."""
    for name, script in (
        ("initdb", f"{VERSION}\n{initdb}"),
        ("postgres", 'cat "$PGDATA/PG_VERSION"'),
    ):
        program = folder / name
        program.write_text(f"#!/bin/sh\nset -e\n{script}\n")
        program.chmod(0o755)
    stateful_set, _ = (
        each for each in Postgres().objects(settings()) if each["kind"] == "StatefulSet"
    )
    (container,) = stateful_set["spec"]["template"]["spec"]["containers"]
    command = [each.replace("/var/run/postgresql", str(folder)) for each in container["command"]]
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "PGDATA": str(folder / "data")}
    environment |= {"HOSTNAME": "postgres-0", "FAKED": version}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)


def tree(folder: Path) -> dict[str, str]:
    return {
        str(each.relative_to(folder)): each.read_text()
        for each in folder.rglob("*")
        if each.is_file()
    }


@pytest.mark.parametrize("present", ["nothing", "an empty folder", "a broken-off start"])
def test_a_volume_without_data_gets_a_database(tmp_path: Path, present: str) -> None:
    if present == "an empty folder":
        (tmp_path / "data").mkdir()
    elif present == "a broken-off start":
        assert started(tmp_path, 'mkdir "$2"; touch "$2/half"; exit 1').returncode == 1
    assert started(tmp_path).stdout == "17\n"
    assert tree(tmp_path / "data") == {"PG_VERSION": "17\n"}
    assert not (tmp_path / "data.new").exists()


@pytest.mark.parametrize(
    ("version", "works"),
    [
        ("15.8 (Debian 15.8-1.pgdg120+1)", False),
        ("9.6.24", False),
        ("16.4", False),
        ("17beta1", True),
        ("17.6", True),
        ("18.1 (Debian 18.1-1)", True),
    ],
)
def test_a_version_that_is_too_old_is_told(tmp_path: Path, version: str, works: bool) -> None:
    completed = started(tmp_path, version=version)
    assert (completed.returncode == 0) is works
    if not works:
        assert f"{version} is too old a version: 17" in completed.stderr
        assert cause_of_log(completed.stderr) == "image-unfit"
        assert not (tmp_path / "data").exists()


def test_data_is_kept_at_the_next_start(tmp_path: Path) -> None:
    started(tmp_path)
    (tmp_path / "data" / "row").write_text("kept")
    assert started(tmp_path, "exit 1").stdout == "17\n"
    assert (tmp_path / "data" / "row").read_text() == "kept"


@pytest.mark.parametrize("version", [None, ""])
def test_data_without_its_version_is_neither_touched_nor_buried(
    tmp_path: Path, version: str | None
) -> None:
    (tmp_path / "data" / "base").mkdir(parents=True)
    (tmp_path / "data" / "base" / "row").write_text("kept")
    if version is not None:
        (tmp_path / "data" / "PG_VERSION").write_text(version)
    before = tree(tmp_path / "data")
    completed = started(tmp_path)
    assert completed.returncode == 1
    assert cause_of_log(completed.stderr) == "postgres-corrupted"
    assert tree(tmp_path / "data") == before


def declared(**postgres: object) -> Settings:
    return parse({"postgres": postgres}, sections)


def test_a_database_has_its_owner_and_a_secret_of_its_own() -> None:
    given_ = declared(databases=[{"name": "sales"}, {"name": "sales_old", "owner": "sales"}])
    credentials = decoded(Postgres().credentials(given_))
    assert set(credentials) == {"password", "password.sales"}
    made = {
        each["metadata"]["name"]: decoded(each)
        for each in Postgres().connections(given_, credentials, "PEM")
    }
    found = {name: (each["username"], each["database"]) for name, each in made.items()}
    assert found == {
        "postgres-connection": ("learnflow", "learnflow"),
        "postgres-connection-sales": ("sales", "sales"),
        "postgres-connection-sales-old": ("sales", "sales_old"),
    }
    assert made["postgres-connection-sales"]["password"] == credentials["password.sales"]


def start(settings_: Settings) -> str:
    workload, _ = (each for each in Postgres().objects(settings_) if each["kind"] == "StatefulSet")
    command: str = workload["spec"]["template"]["spec"]["containers"][0]["command"][-1]
    return command


def test_parameters_that_only_a_start_reads_are_on_the_command_line() -> None:
    given_ = declared(
        parameters={"max_connections": 200, "work_mem": "8MB", "auto_explain": {"log_format": "x"}}
    )
    line = start(given_)
    assert "-c max_connections=200" in line
    assert "-c auto_explain.log_format=x" in line
    assert "work_mem" not in line
    assert "-c wal_level=logical" in line
    script = parameters.script(dict(given_.of(PostgresSettings).parameters))
    assert "('work_mem', '8MB')" in script
    assert "max_connections" not in script


def test_a_parameter_s_value_is_one_word_for_the_shell_and_for_kubernetes() -> None:
    line = start(declared(parameters={"cluster_name": "a b; $(HOSTNAME) 'c'"}))
    words = shlex.split(line.splitlines()[-1].replace("$$(", "$("))
    assert words[words.index("cluster_name=a b; $(HOSTNAME) 'c'") - 1] == "-c"
    assert "$$(HOSTNAME)" in line


@pytest.mark.parametrize(
    ("state", "words", "code"),
    [
        (
            "53100",
            'could not resize shared memory segment "/x": No space left',
            "postgres-shared-memory",
        ),
        ("53100", "could not extend file: No space left on device", "postgres-disk-full"),
        ("22023", 'invalid value for parameter "work_mem": "x"', "postgres-parameter-refused"),
        ("42704", 'unrecognized configuration parameter "x"', "postgres-parameter-refused"),
        ("LF001", "database a was renamed to b", "postgres-database-renamed"),
        ("LF002", "the server has no extension x; it has y", "postgres-extension-missing"),
    ],
)
def test_what_the_server_says_has_its_cause(state: str, words: str, code: str) -> None:
    found = errors.of_psql(f"psql:<stdin>:3: ERROR:  {state}: {words}\nLOCATION:  x")
    assert found.code == code
    assert words in found.message


def test_an_error_in_sql_is_found_in_its_file() -> None:
    texts = ["one\ntwo", "three\nfour\n"]
    said = "psql:<stdin>:{}: ERROR:  42601: no\n"
    for line, where in ((2, "a.sql, line 2"), (3, "b.sql, line 1"), (4, "b.sql, line 2")):
        assert initialisation._located(said.format(line), ["a.sql", "b.sql"], texts) == (
            where,
            "42601: no",
        )


def test_a_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    file = tmp_path / "infra.toml"
    file.write_text('[postgres]\ninit = ["schema.sql"]\n')
    with pytest.raises(Failure) as raised:
        initialisation.require_files(load(str(file), sections))
    (found,) = raised.value.findings
    assert found.code == "settings-invalid"
    assert "schema.sql cannot be read: No such file" in found.message
