"""Topics as the settings declare them, in a real Kafka, and who may use them."""

from __future__ import annotations

import re

from .conftest import Person


def up(person: Person, namespace: str, kafka: str) -> tuple[int, list[str], str]:
    """The exit code, what was changed inside Kafka, and all that was said."""
    person.settings(f'[cluster]\nnamespace = "{namespace}"\n[kafka]\n{kafka}')
    answer = person.run("up", "kafka", "--json")
    changed = [each for each in answer.json["changed"] if "topic" in each or "ACL" in each]
    return answer.exit_code, changed, answer.stdout


def described(person: Person, namespace: str, topic: str) -> tuple[int, str]:
    """A topic's partitions and its own configuration."""
    said = person.kafka("kafka-topics", "--describe", "--topic", topic, namespace=namespace)
    found = re.search(r"PartitionCount: (\d+).*Configs: (\S*)", said)
    assert found, said
    own = sorted(each for each in found[2].split(",") if not each.startswith("min.insync"))
    return int(found[1]), ",".join(own)


def test_topics_are_as_declared_after_every_up(person: Person, elsewhere: str) -> None:
    first = """\
config = { "auto.create.topics.enable" = false, "log.retention.hours" = 24 }
user_groups = ["billing"]
[[kafka.topics]]
name = "orders"
partitions = 2
config = { "cleanup.policy" = "compact", "max.message.bytes" = 2000000 }
"""
    code, changed, said = up(person, elsewhere, first)
    assert code == 0, said
    assert "topic orders" in changed
    said = person.kafka(
        *("kafka-configs", "--describe", "--all", "--entity-type", "brokers", "--entity-name", "0"),
        namespace=elsewhere,
    )
    assert "auto.create.topics.enable=false" in said
    own = "cleanup.policy=compact,max.message.bytes=2000000"
    assert described(person, elsewhere, "orders") == (2, own)
    assert up(person, elsewhere, first)[:2] == (0, [])

    # What is refused is refused before the partitions are raised.
    more = first.replace("partitions = 2", "partitions = 4")
    code, changed, said = up(person, elsewhere, more.replace("max.message.bytes", "retention.mss"))
    assert (code, changed) == (1, [])
    assert "kafka-topic-refused" in said
    assert "retention.mss" in said
    assert described(person, elsewhere, "orders") == (2, own)
    code, changed, said = up(person, elsewhere, first.replace("partitions = 2", "partitions = 1"))
    assert (code, changed) == (2, [])
    assert "setting-fixed" in said

    later = 'topics = [{ name = "orders", partitions = 4, config = { "retention.ms" = 60000 } }]'
    code, changed, said = up(person, elsewhere, f'user_groups = ["billing"]\n{later}')  # rolled
    assert code == 0, said
    assert described(person, elsewhere, "orders") == (4, "retention.ms=60000")
    assert {"partitions of topic orders", "retention.ms of topic orders"} <= set(changed)

    # A topic that is taken out is kept, and that is said.
    person.settings(f'[cluster]\nnamespace = "{elsewhere}"\n')
    answer = person.run("up", "kafka", "--json")
    assert answer.json["notes"] == ["kafka: no longer declared, and kept: topic orders"]
    assert described(person, elsewhere, "orders")[0] == 4
    assert up(person, elsewhere, f'user_groups = ["billing"]\n{later}')[0] == 0

    # The application's user writes to it and reads it as a group of a service's name.
    exec_ = ("exec", "-i", "-n", elsewhere, "kafka-client-0", "--")
    login = "/etc/connection/client.properties"
    server = ("--bootstrap-server", f"kafka.{elsewhere}.svc:9092", "--topic", "orders")
    produce = ("/opt/kafka/bin/kafka-console-producer.sh", "--command-config", login)
    person.kubectl(*exec_, *produce, *server, stdin="one\n")
    consume = ("/opt/kafka/bin/kafka-console-consumer.sh", "--command-config", login)
    options = ("--from-beginning", "--max-messages", "1", "--timeout-ms", "30000")
    said = person.kubectl(*exec_, *consume, *server, *options, "--group", "billing")
    assert said.split()[0] == "one"
