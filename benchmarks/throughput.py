"""Round trips a second, as one client next to the server makes them: Kafka's own end-to-end tool (a
record produced with acks=all and consumed, one after the other) and pgbench (a row committed and
read back, one after the other; and one short query)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence

# Runs a bash script next to a server, which gets it on standard input, and gives what it printed.
Shell = Callable[[str], str]

_RECORDS = 2000
_SECONDS = 3

_KAFKA = """\
umask 077
cat > /tmp/bench.properties <<'END'
{properties}
END
cat > /tmp/bench.pem <<'END'
{authority}
END
KAFKA_HEAP_OPTS=-Xmx96m KAFKA_JMX_OPTS=' ' LOG_DIR=/tmp/logs /opt/kafka/bin/kafka-e2e-latency.sh \\
  {servers} {topic} {records} all 100 /tmp/bench.properties
rm -f /tmp/bench.properties /tmp/bench.pem
"""
_POSTGRES = """\
umask 077
cat > /tmp/bench.pem <<'END'
{authority}
END
cat > /tmp/bench.sql <<'END'
\set id random(1, 1000000000)
insert into bench values (:id, 'a payload') on conflict do nothing;
select payload from bench where id = :id;
END
echo 'select 1' > /tmp/query.sql
read -r PGPASSWORD <<'END'
{password}
END
export PGPASSWORD PGSSLMODE={mode} PGSSLROOTCERT=/tmp/bench.pem
export PGHOST={host} PGPORT={port} PGUSER={user} PGDATABASE={database}
psql -qc 'create table bench (id int primary key, payload text)'
for script in bench query; do pgbench -n -T {seconds} -f /tmp/$script.sql; done
psql -qc 'drop table bench'
rm -f /tmp/bench.sql /tmp/query.sql /tmp/bench.pem
"""


def output(argv: Sequence[str], script: str) -> str:
    """What a shell says that gets a script on standard input."""
    done = subprocess.run(
        argv, input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
    )
    return done.stdout


def kafka(shell: Shell, connection: Mapping[str, str], topic: str) -> float:
    """Round trips a second of a client with a connection Secret's values."""
    names = ("security.protocol", "sasl.mechanism", "sasl.jaas.config")
    properties = [f"{name}={connection[name]}" for name in names if name in connection]
    if "ca.crt" in connection:
        properties += ["ssl.truststore.type=PEM", "ssl.truststore.location=/tmp/bench.pem"]
    said = shell(
        _KAFKA.format(
            properties="\n".join(properties),
            authority=connection.get("ca.crt", ""),
            servers=connection["bootstrap.servers"],
            topic=topic,
            records=_RECORDS,
        )
    )
    (latency,) = _numbers(r"Avg latency: ([0-9.]+) ms", said, 1)
    return 1000 / latency


def postgres(shell: Shell, connection: Mapping[str, str]) -> tuple[float, float]:
    """Round trips and short queries a second of a client with a connection Secret's values."""
    said = shell(
        _POSTGRES.format(
            authority=connection.get("ca.crt", ""),
            password=connection.get("password", ""),
            mode=connection.get("sslmode", "disable"),
            host=connection["host"],
            port=connection["port"],
            user=connection["username"],
            database=connection["database"],
            seconds=_SECONDS,
        )
    )
    trips, queries = _numbers(r"tps = ([0-9.]+)", said, 2)
    return trips, queries


def _numbers(pattern: str, said: str, count: int) -> list[float]:
    found = re.findall(pattern, said)
    assert len(found) == count, said[-2000:]
    return [float(each) for each in found]
