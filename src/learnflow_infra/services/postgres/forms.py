"""A login as clients' libraries read it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from learnflow_infra.services import Form
from learnflow_infra.services.shared import properties

_JDBC = "jdbc:postgresql://{host}:{port}/{database}"


def forms(login: Mapping[str, str], authority: str) -> dict[str, Form]:
    """The values of a connection Secret, whose certificate lies in the file `authority`."""
    host, port, database = login["host"], login["port"], login["database"]
    user, password = login["username"], login["password"]
    options = {"sslmode": login["sslmode"]}
    ssl: dict[str, object] = {}
    if certificate := login.get("ca.crt"):
        options["sslrootcert"] = authority
        ssl = {"ssl": {"ca": certificate}}
    return {
        # https://www.postgresql.org/docs/current/libpq-envars.html
        "env": {
            "PGHOST": host,
            "PGPORT": port,
            "PGDATABASE": database,
            "PGUSER": user,
            "PGPASSWORD": password,
            **{f"PG{key.upper()}": value for key, value in options.items()},
            "DATABASE_URL": uri(login, options),
            **({"NODE_EXTRA_CA_CERTS": authority} if certificate else {}),
        },
        "json": {
            **{"host": host, "port": int(port), "database": database},
            **{"username": user, "password": password},
            **options,
        },
        "pgpass": pgpass(login) + "\n",
        "jdbc": jdbc(login, options) + "\n",
        "spring": properties.lines(
            {
                "spring.datasource.url": f"{_JDBC.format(**login)}?{_query(options)}",
                "spring.datasource.username": user,
                "spring.datasource.password": password,
            }
        ),
        # https://node-postgres.com/apis/client
        "node": {
            **{"host": host, "port": int(port), "database": database},
            **{"user": user, "password": password},
            **ssl,
        },
        "python": {
            **{"host": host, "port": int(port), "dbname": database},
            **{"user": user, "password": password},
            **options,
        },
    }


def uri(login: Mapping[str, str], options: Mapping[str, str]) -> str:
    """As libpq reads it, https://www.postgresql.org/docs/current/libpq-connect.html"""
    of_user = f"{quote(login['username'], safe='')}:{quote(login['password'], safe='')}"
    place = f"{login['host']}:{login['port']}/{login['database']}"
    return f"postgresql://{of_user}@{place}?{_query(options)}"


def jdbc(login: Mapping[str, str], options: Mapping[str, str]) -> str:
    """As pgjdbc reads it, https://jdbc.postgresql.org/documentation/use/"""
    of_user = {"user": login["username"], "password": login["password"]}
    return f"{_JDBC.format(**login)}?{_query({**of_user, **options})}"


def pgpass(login: Mapping[str, str]) -> str:
    """A line of libpq's password file, https://www.postgresql.org/docs/current/libpq-pgpass.html"""
    keys = ("host", "port", "database", "username", "password")
    return ":".join(login[key].replace("\\", "\\\\").replace(":", "\\:") for key in keys)


def _query(options: Mapping[str, str]) -> str:
    return "&".join(f"{key}={quote(value, safe='/')}" for key, value in options.items())
