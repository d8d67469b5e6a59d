"""Who gets into Kafka, and how far: every attempt is made by a real client on a real cluster."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import kafka
import kafka.admin
import kafka.errors
import pytest

from issued import of_a_year
from learnflow_infra.host.x509 import Authority, CertificateAndKey
from learnflow_infra.services.kafka.network import network, tls_socket
from learnflow_infra.services.shared import tls

from .conftest import NAMESPACE, Person

SECONDS = 15
OWN, FOREIGN = "learnflow.events", "foreign.events"
# ApiVersions, version 0, which a server answers before anyone logged in.
HELLO = bytes.fromhex("00000010 0012 0000 00000001 0006") + b"intrud"


METADATA = bytes.fromhex("00000014 0003 0000 00000002 0006") + b"intrud" + bytes(4)


class Door:
    """A port that leads to one of Kafka's listeners, and clients that go through it."""

    def __init__(self, port: int, authority: str) -> None:
        self.port = port
        self.authority = authority

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authority)
        context.sslsocket_class = tls_socket(lambda _: None)
        return context

    @contextlib.contextmanager
    def handshake(self, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
        """TLS, and no login yet."""
        with (
            socket.create_connection(("localhost", self.port), SECONDS) as connection,
            context.wrap_socket(connection, server_hostname="localhost") as session,
        ):
            yield session

    def shown(self) -> bytes | None:
        """The certificate, whoever signed it."""
        with self.handshake(tls.lax()) as session:
            return session.getpeercert(binary_form=True)

    @contextlib.contextmanager
    def client(
        self, kind: Any, user: str = "", password: str = "", **options: Any
    ) -> Iterator[Any]:
        """A client of kafka-python. Raises what its first connection failed of."""
        failures: list[Exception] = []
        made: list[Any] = []

        def connections(**config: Any) -> Any:
            made.append(network(failures.append, **config)[0])
            return made[-1]

        config = {
            "bootstrap_servers": f"localhost:{self.port}",
            "security_protocol": "SASL_SSL",
            "ssl_context": self.context(),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": password,
            "bootstrap_timeout_ms": 2000,
            "request_timeout_ms": SECONDS * 1000,
            "kafka_client": connections,
        }
        if kind is kafka.KafkaConsumer:
            config.pop("bootstrap_timeout_ms")
        try:
            client = kind(**config | options)
        except kafka.errors.KafkaError as error:
            for each in made:
                each.close()
            raise (failures or [error])[0] from error
        try:
            yield client
        finally:
            client.close()

    def admin(self, user: str, password: str, **options: Any) -> Any:
        return self.client(kafka.KafkaAdminClient, user, password, **options)

    def write(self, user: str, password: str, topic: str) -> None:
        options = {"acks": "all", "enable_idempotence": False, "max_block_ms": SECONDS * 1000}
        with self.client(kafka.KafkaProducer, user, password, **options) as producer:
            producer.send(topic, b"x").get(SECONDS)

    def read(self, user: str, password: str, topic: str, **options: Any) -> list[bytes]:
        with self.client(kafka.KafkaConsumer, user, password, **options) as consumer:
            consumer.assign([kafka.TopicPartition(topic, n) for n in range(3)])
            consumer.seek_to_beginning()
            records = consumer.poll(SECONDS * 1000)
        return [each.value for batch in records.values() for each in batch]


@pytest.fixture(scope="module")
def secrets(deployed: Person) -> dict[str, dict[str, str]]:
    names = ("kafka-connection", "kafka-admin", "kafka-credentials")
    return {name: deployed.secret(name) for name in names}


@pytest.fixture(scope="module")
def application(secrets: dict[str, dict[str, str]]) -> tuple[str, str]:
    return secrets["kafka-connection"]["username"], secrets["kafka-connection"]["password"]


@pytest.fixture(scope="module")
def administrator(secrets: dict[str, dict[str, str]]) -> tuple[str, str]:
    return secrets["kafka-admin"]["username"], secrets["kafka-admin"]["password"]


@pytest.fixture(scope="module")
def door(deployed: Person, secrets: dict[str, dict[str, str]]) -> Iterator[Door]:
    """What `connect` opens."""
    process = deployed.start("connect", "kafka", "--json")
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert "connections" in said, said
        hint = json.loads(said)["connections"]["kafka"]
        port = int(hint["bootstrap.servers"].rpartition(":")[2])
        yield Door(port, secrets["kafka-connection"]["ca.crt"])
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture
def inner(
    deployed: Person, secrets: dict[str, dict[str, str]], request: pytest.FixtureRequest
) -> Iterator[Door]:
    """A port of the pod that only nodes use, forwarded as anyone with rights on pods could."""
    command = deployed.kubectl_command("port-forward", "-n", NAMESPACE, "kafka-0")
    process = subprocess.Popen(
        [*command, f":{request.param}"],
        env=deployed.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        found = re.search(r"127\.0\.0\.1:(\d+) ->", process.stdout.readline())
        assert found
        yield Door(int(found[1]), secrets["kafka-connection"]["ca.crt"])
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@pytest.fixture(scope="module")
def foreign(door: Door, administrator: tuple[str, str]) -> Iterator[str]:
    """A topic with a record that is not the application's."""
    with door.admin(*administrator) as admin:
        admin.create_topics({FOREIGN: {"num_partitions": 3}})
        door.write(*administrator, FOREIGN)
        yield FOREIGN
        admin.delete_topics([FOREIGN])


def unanswered_without_login(door: Door) -> bool:
    """Whether the greeting, which needs no login, is all that is answered."""
    with door.handshake(door.context()) as session, session.makefile("rb") as answers:
        session.sendall(HELLO)
        length = int.from_bytes(answers.read(4))
        assert answers.read(length)[:4] == HELLO[8:12]
        session.sendall(METADATA)
        return answers.read(1) == b""


# ---- who may log in


def test_the_application_writes_and_reads(door: Door, application: tuple[str, str]) -> None:
    door.write(*application, OWN)
    assert b"x" in door.read(*application, OWN)


@pytest.mark.intruder("asks Kafka for its topics without a login", by="SASL on every listener")
def test_without_a_login(door: Door) -> None:
    assert unanswered_without_login(door)


@pytest.mark.intruder("logs in to Kafka with {}", by="SCRAM-SHA-512")
@pytest.mark.parametrize(
    ("user", "password"),
    [("learnflow", ""), ("learnflow", "wrong"), ("nobody", "wrong"), ("node", "wrong")],
    ids=["an empty password", "a wrong password", "an unknown user", "the nodes' name"],
)
def test_a_wrong_password(door: Door, user: str, password: str) -> None:
    with pytest.raises(kafka.errors.SaslAuthenticationFailedError), door.admin(user, password):
        pass


@pytest.mark.intruder("logs in to Kafka with the password by {}", by="one mechanism alone")
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_weaker_mechanism(door: Door, application: tuple[str, str], mechanism: str) -> None:
    with (
        pytest.raises(kafka.errors.UnsupportedSaslMechanismError),
        door.admin(*application, sasl_mechanism=mechanism),
    ):
        pass


@pytest.mark.intruder("logs in to Kafka as a node, with the nodes' password", by="listener's users")
def test_the_nodes_password_is_no_clients(door: Door, secrets: dict[str, dict[str, str]]) -> None:
    password = secrets["kafka-credentials"]["password.node"]
    with pytest.raises(kafka.errors.SaslAuthenticationFailedError), door.admin("node", password):
        pass


@pytest.mark.intruder("logs in on the {} port of Kafka's nodes", by="users of the nodes' listeners")
@pytest.mark.parametrize("inner", [9091, 9093], indirect=True, ids=["brokers'", "controllers'"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
@pytest.mark.parametrize("secret", ["kafka-connection", "kafka-admin"])
def test_no_password_of_clients_opens_the_nodes_ports(
    inner: Door, secrets: dict[str, dict[str, str]], mechanism: str, secret: str
) -> None:
    refused = (
        kafka.errors.SaslAuthenticationFailedError,
        kafka.errors.UnsupportedSaslMechanismError,
    )
    user, password = secrets[secret]["username"], secrets[secret]["password"]
    with pytest.raises(refused), inner.admin(user, password, sasl_mechanism=mechanism):
        pass


@pytest.mark.intruder("asks the {} port of Kafka's nodes without a login", by="SASL")
@pytest.mark.parametrize("inner", [9091, 9093], indirect=True, ids=["brokers'", "controllers'"])
def test_the_nodes_ports_ask_for_a_login(inner: Door) -> None:
    assert unanswered_without_login(inner)


# ---- encryption


def answer_to(port: int, said: bytes) -> bytes:
    with socket.create_connection(("localhost", port), SECONDS) as connection:
        connection.sendall(said)
        with contextlib.suppress(ConnectionError):
            return connection.recv(100)
    return b""


@pytest.mark.intruder("speaks to Kafka in the clear", by="TLS on every listener")
def test_in_the_clear(door: Door) -> None:
    assert answer_to(door.port, HELLO)[:1] in (b"", b"\x15")  # closed, or TLS's alert


@pytest.mark.intruder("speaks in the clear to the {} port of Kafka's nodes", by="TLS")
@pytest.mark.parametrize("inner", [9091, 9093], indirect=True, ids=["brokers'", "controllers'"])
def test_the_nodes_ports_in_the_clear(inner: Door) -> None:
    assert answer_to(inner.port, HELLO)[:1] in (b"", b"\x15")


@pytest.mark.intruder("speaks TLS {} to Kafka", by="TLS 1.2 at least")
@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"]
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_protocol(door: Door, version: ssl.TLSVersion) -> None:
    context = door.context()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"), door.handshake(context):
        pass


@pytest.mark.intruder("offers Kafka {} alone", by="the suites that Kafka is set to")
@pytest.mark.parametrize(
    "suite", ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"], ids=["SHA256", "SHA1"]
)
def test_a_suite_without_authenticated_encryption(door: Door, suite: str) -> None:
    context = door.context()
    context.set_ciphers(suite)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"), door.handshake(context):
        pass


@pytest.mark.intruder(
    "poses as Kafka under an authority of its own", by="the client's strict check"
)
def test_a_foreign_authority_is_not_trusted(door: Door, application: tuple[str, str]) -> None:
    other = Authority.new("someone else", 10).pair.certificate
    with (
        pytest.raises(kafka.errors.KafkaConnectionError, match="CERTIFICATE_VERIFY_FAILED"),
        Door(door.port, other).admin(*application),
    ):
        pass


# ---- how far


@pytest.mark.intruder("writes to another's topic", by="Kafka's authorizer")
def test_writing_to_a_foreign_topic(door: Door, application: tuple[str, str], foreign: str) -> None:
    with pytest.raises(kafka.errors.TopicAuthorizationFailedError):
        door.write(*application, foreign)


@pytest.mark.intruder("reads another's topic", by="Kafka's authorizer")
def test_reading_a_foreign_topic(door: Door, application: tuple[str, str], foreign: str) -> None:
    assert not may_read(door, application, foreign)


def may_read(door: Door, user: tuple[str, str], topic: str) -> bool:
    """Whether a topic's records can be found at all."""
    with door.client(kafka.KafkaConsumer, *user) as consumer:
        try:
            consumer.beginning_offsets([kafka.TopicPartition(topic, 0)])
        except kafka.errors.TopicAuthorizationFailedError:
            return False
        return True


@pytest.mark.intruder("joins another's consumer group", by="Kafka's authorizer")
def test_joining_a_foreign_group(door: Door, application: tuple[str, str]) -> None:
    options = {"group_id": "foreign", "auto_offset_reset": "earliest"}
    with door.client(kafka.KafkaConsumer, *application, **options) as consumer:
        consumer.subscribe([OWN])
        with pytest.raises(kafka.errors.GroupAuthorizationFailedError):
            consumer.poll(SECONDS * 1000)


def test_joining_its_own_group(door: Door, application: tuple[str, str]) -> None:
    door.write(*application, OWN)
    options = {"group_id": "learnflow.readers", "auto_offset_reset": "earliest"}
    with door.client(kafka.KafkaConsumer, *application, **options) as consumer:
        consumer.subscribe([OWN])
        assert consumer.poll(SECONDS * 1000)


@pytest.mark.intruder("takes over another's transactions", by="Kafka's authorizer")
def test_a_foreign_transaction(door: Door, application: tuple[str, str]) -> None:
    options = {"transactional_id": "foreign"}
    with (
        door.client(kafka.KafkaProducer, *application, **options) as producer,
        pytest.raises(kafka.errors.TransactionalIdAuthorizationFailedError),
    ):
        producer.init_transactions()


@pytest.mark.intruder("sees which topics others have", by="Kafka's authorizer")
def test_foreign_topics_are_not_seen(
    door: Door, application: tuple[str, str], foreign: str
) -> None:
    with door.admin(*application) as admin:
        seen = admin.list_topics()
    assert OWN in seen
    assert foreign not in seen
    assert not [name for name in seen if name.startswith("__")]


@pytest.mark.intruder("{}", by="Kafka's authorizer")
@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(lambda admin: admin.create_topics(["other"]), id="creates a topic elsewhere"),
        pytest.param(lambda admin: admin.delete_topics([FOREIGN]), id="deletes another's topic"),
        pytest.param(
            lambda admin: admin.describe_user_scram_credentials(["admin"]),
            id="asks for Kafka's users",
        ),
        pytest.param(
            lambda admin: admin.describe_acls(
                kafka.admin.ACLFilter(
                    None,
                    None,
                    kafka.admin.ACLOperation.ANY,
                    kafka.admin.ACLPermissionType.ANY,
                    kafka.admin.ResourcePatternFilter(
                        kafka.admin.ResourceType.ANY,
                        None,
                        kafka.admin.ACLResourcePatternType.ANY,
                    ),
                )
            ),
            id="lists Kafka's ACLs",
        ),
    ],
)
def test_administration_is_refused(
    door: Door, application: tuple[str, str], foreign: str, attempt: Any
) -> None:
    refused = (
        kafka.errors.TopicAuthorizationFailedError,
        kafka.errors.ClusterAuthorizationFailedError,
    )
    with door.admin(*application) as admin, pytest.raises(refused):
        attempt(admin)


@pytest.mark.intruder("gives itself ACLs or a password in Kafka", by="Kafka's authorizer")
def test_acls_and_users_are_not_the_applications_to_change(
    door: Door, application: tuple[str, str]
) -> None:
    everything = kafka.admin.ACL(
        f"User:{application[0]}",
        "*",
        kafka.admin.ACLOperation.ALL,
        kafka.admin.ACLPermissionType.ALLOW,
        kafka.admin.ResourcePattern(kafka.admin.ResourceType.TOPIC, "*"),
    )
    password = kafka.admin.UserScramCredentialUpsertion("admin", "SCRAM-SHA-512", "mine")
    with door.admin(*application) as admin:
        failed = admin.create_acls([everything])["failed"]
        assert failed == [kafka.errors.ClusterAuthorizationFailedError]
        assert all(admin.alter_user_scram_credentials([password]).values())


# ---- users as the settings declare them


BILLING = """\
[kafka]
users = [{ name = "billing", access = "%s", topics = [%s], groups = ["billing.*"] }]
"""


def up(person: Person) -> list[str]:
    """`up`, which must succeed; says what it changed."""
    answer = person.run("up", "kafka", "--json", timeout=300)
    assert answer.exit_code == 0, answer.stdout
    changed: list[str] = answer.json["changed"]
    return changed


def declare(person: Person, access: str, topics: str) -> list[str]:
    person.settings(BILLING % (access, topics))
    return up(person)


@pytest.fixture
def settled(deployed: Person) -> Iterator[Person]:
    """For a test that declares users: afterwards the settings are the default ones."""
    yield deployed
    deployed.settings("")
    answer = deployed.run("up", "kafka")
    assert answer.exit_code == 0, answer.stdout


def test_a_declared_user_has_its_acls_and_no_more(
    settled: Person, door: Door, application: tuple[str, str]
) -> None:
    door.write(*application, OWN)
    changed = declare(settled, "read", '"learnflow.*"')
    assert {"user billing", "ACLs of billing", "secret/kafka-connection-billing"} <= set(changed)
    assert settled.run("up", "kafka", "--json").json["changed"] == []
    billing = settled.secret("kafka-connection-billing")
    assert (billing["username"], billing["bootstrap.servers"]) == (
        "billing",
        f"kafka.{NAMESPACE}.svc:9092",
    )
    user = (billing["username"], billing["password"])
    assert b"x" in door.read(*user, OWN)
    with pytest.raises(kafka.errors.TopicAuthorizationFailedError):
        door.write(*user, OWN)

    declare(settled, "write", '"learnflow.*"')
    door.write(*user, OWN)

    assert declare(settled, "write", '"billing.*"') == ["ACLs of billing"]
    assert not may_read(door, user, OWN)


@pytest.mark.intruder("uses the password of a user that was removed", by="`up`, which removed it")
def test_a_user_no_longer_declared_is_shut_out(
    settled: Person, door: Door, administrator: tuple[str, str]
) -> None:
    declare(settled, "read", '"learnflow.*"')
    secret = settled.secret("kafka-connection-billing")
    user = (secret["username"], secret["password"])
    with door.client(kafka.KafkaConsumer, *user) as consumer:
        partition = kafka.TopicPartition(OWN, 0)
        assert consumer.beginning_offsets([partition])
        settled.settings("")
        changed = settled.run("up", "kafka", "--json").json["changed"]
        assert {"user billing removed", "ACLs of billing"} <= set(changed)
        assert "secret/kafka-connection-billing" in changed
        # Whoever is still connected has no right left.
        with pytest.raises(kafka.errors.TopicAuthorizationFailedError):
            consumer.beginning_offsets([partition])
    with pytest.raises(kafka.errors.SaslAuthenticationFailedError), door.admin(*user):
        pass
    assert "password.billing" not in settled.secret("kafka-credentials")


def test_a_removed_user_takes_no_one_along_when_a_node_starts_again(settled: Person) -> None:
    settled.settings(BILLING.replace("billing", "reports") % ("read", '"learnflow.*"'))
    assert settled.run("up", "kafka").exit_code == 0
    settled.settings("")
    assert settled.run("up", "kafka").exit_code == 0
    settled.kubectl("delete", "pod", "kafka-0", "-n", NAMESPACE)
    assert settled.run("up", "kafka", "--json").json["changed"] == []


def test_what_was_changed_by_hand_is_the_settings_again(
    settled: Person, door: Door, administrator: tuple[str, str], application: tuple[str, str]
) -> None:
    for_all = kafka.admin.ACL(
        "User:*",
        "*",
        kafka.admin.ACLOperation.READ,
        kafka.admin.ACLPermissionType.ALLOW,
        kafka.admin.ResourcePattern(kafka.admin.ResourceType.TOPIC, "*"),
    )
    with door.admin(*administrator) as admin:
        admin.create_acls([for_all])
        admin.alter_user_scram_credentials(
            [
                kafka.admin.UserScramCredentialUpsertion(name, "SCRAM-SHA-512", "by-hand")
                for name in ("backdoor", application[0])
            ]
        )
    answer = settled.run("verify", "kafka", "--json")
    assert answer.codes == ["kafka-password"], answer.stdout
    assert f"user {application[0]}" in answer.json["findings"][0]["message"]
    answer = settled.run("up", "kafka", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert set(answer.json["changed"]) == {
        "ACLs of *",
        f"user {application[0]}",
        "user backdoor removed",
    }
    for password in ("by-hand", "wrong"):
        with (
            pytest.raises(kafka.errors.SaslAuthenticationFailedError),
            door.admin("backdoor", password),
        ):
            pass


# ---- certificates


CERTIFICATES = {
    "a foreign authority": "certificate-authority",
    "another name": "certificate-name",
    "an ended life": "certificate-expired",
    "a nearly ended life": "certificate-ending",
}


def certificate_of(person: Person, case: str) -> CertificateAndKey:
    values = person.secret("learnflow-authority")
    signer = Authority(CertificateAndKey(values["tls.crt"], values["tls.key"]))
    names = [f"kafka.{NAMESPACE}.svc", f"kafka-0.kafka-brokers.{NAMESPACE}.svc", "localhost"]
    if case == "a foreign authority":
        foreign = Authority.new("learnflow-infra", 365)
        return foreign.issue("kafka", 365, alternatives=names, client=False)
    if case == "another name":
        return signer.issue("kafka", 365, alternatives=["elsewhere"], client=False)
    return of_a_year(signer, names, left=-1 if case == "an ended life" else 20)


def present(person: Person, door: Door, pair: CertificateAndKey) -> None:
    """Let the running server show its clients another certificate."""
    place = ("-n", NAMESPACE)
    data = {
        "tls.crt": pair.certificate,
        "tls.key": pair.key,
        "tls.pem": pair.key + pair.certificate,
    }
    patch = json.dumps({"stringData": data})
    person.kubectl("patch", "secret", "kafka-tls", *place, "-p", patch)
    mark = f"looked-at={hash(pair.certificate)}"
    person.kubectl("annotate", "pod", "kafka-0", *place, "--overwrite", mark)
    there = '[ "$(< /etc/kafka-tls/tls.crt)" = "$0" ]'
    wait = f"for n in {{1..600}}; do {there} && exit; sleep 0.1; done; false"
    words = ("bash", "-c", wait, pair.certificate.strip())
    person.kubectl("exec", *place, "kafka-0", "--", *words)
    listeners = ",".join(
        f"listener.name.{name}.ssl.keystore.location=/etc/kafka-tls/tls.pem"
        for name in ("client", "host")
    )
    who = ("--entity-type", "brokers", "--entity-name", "0")
    person.kafka("kafka-configs", "--alter", *who, "--add-config", listeners)
    until = time.monotonic() + 4 * SECONDS  # each network thread reads it by itself
    while door.shown() != ssl.PEM_cert_to_DER_cert(pair.certificate):
        assert time.monotonic() < until
        time.sleep(0.1)


def of_the_pod(person: Person) -> tuple[str, int]:
    (pod,) = person.objects("pods", "-l", "app.kubernetes.io/name=kafka")
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


@pytest.mark.parametrize(("case", "code"), CERTIFICATES.items(), ids=CERTIFICATES)
@pytest.mark.intruder("shows clients of Kafka a certificate of {}", by="strict TLS clients")
def test_a_certificate_is_checked_and_renewed_while_clients_work(
    deployed: Person, door: Door, application: tuple[str, str], case: str, code: str
) -> None:
    pod = of_the_pod(deployed)
    options: dict[str, Any] = {"acks": "all", "enable_idempotence": False}
    with door.client(kafka.KafkaProducer, *application, **options) as producer:
        producer.send(OWN, b"before").get(SECONDS)
        present(deployed, door, certificate_of(deployed, case))
        answer = deployed.run("verify", "kafka", "--json")
        assert (answer.exit_code, answer.codes) == (1, [code]), answer.stdout
        answer = deployed.run("up", "kafka", "--json")
        assert answer.exit_code == 0, answer.stdout
        assert answer.json["changed"] == ["secret/kafka-tls", "certificate of kafka-0"]
        producer.send(OWN, b"after").get(SECONDS)
    assert deployed.run("verify", "kafka").exit_code == 0
    assert of_the_pod(deployed) == pod
    assert door.shown() == ssl.PEM_cert_to_DER_cert(deployed.secret("kafka-tls")["tls.crt"])


# ---- what all nodes must agree on

# Other ports: `door` keeps the usual ones open.
THREE = """
[cluster]
namespace = "{}"
[kafka]
brokers = 3
cpu = "100m"
memory = "640Mi"
host_port = 29094
"""


def pods_of(person: Person, namespace: str) -> set[str]:
    shown = person.kubectl("get", "pods", "-n", namespace, "-o", "json")
    return {each["metadata"]["uid"] for each in json.loads(shown)["items"]}


def test_three_nodes_take_up_certificates_and_a_new_authority(
    person: Person, elsewhere: str
) -> None:
    person.settings(THREE.format(elsewhere))
    up(person)
    pods = pods_of(person, elsewhere)
    person.kubectl("delete", "secret", "kafka-tls", "-n", elsewhere)
    renewed = {"secret/kafka-tls", *(f"certificate of kafka-{n}" for n in range(3))}
    assert set(up(person)) == renewed
    assert pods_of(person, elsewhere) == pods
    assert person.run("verify", "kafka").exit_code == 0

    person.kubectl("delete", "secret", "learnflow-authority", "-n", elsewhere)
    answer = person.run("up", "kafka", "--json", timeout=300)
    assert answer.codes == ["certificate-authority"], answer.stdout
    (remedy,) = re.findall("Run `kubectl (.*?)`", answer.json["findings"][0]["remedy"])
    person.kubectl(*remedy.split())
    assert up(person) == []
    assert person.run("verify", "kafka").exit_code == 0


def test_encryption_can_be_turned_off_and_on(person: Person, elsewhere: str) -> None:
    settings = f'[cluster]\nnamespace = "{elsewhere}"\n[kafka]\nhost_port = 29094\n'
    off = f"{settings}[security]\nencryption = false\n"
    person.settings(off)
    assert not any("tls" in each or "authority" in each for each in up(person))
    values = person.secret("kafka-connection", elsewhere)
    assert values["security.protocol"] == "SASL_PLAINTEXT"
    assert "ca.crt" not in values
    assert " OFF " in person.run("status", "kafka").stdout
    person.settings(settings)
    assert {"secret/learnflow-authority", "secret/kafka-tls"} <= set(up(person))
    assert person.secret("kafka-connection", elsewhere)["security.protocol"] == "SASL_SSL"
    assert person.run("verify", "kafka").exit_code == 0
    person.settings(off)
    up(person)
    assert person.run("verify", "kafka").exit_code == 0
