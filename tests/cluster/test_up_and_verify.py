"""`up` and `verify` on a real cluster, as a person or a script sees them."""

from __future__ import annotations

import base64
import json
import re
import signal
import time

from learnflow_infra.services.kafka.settings import PROBES
from report_schema import valid

from .conftest import NAMESPACE, Person
from .machine import eventually


def writes(person: Person) -> float:
    """Requests that the API server counted as writes of what `up` makes."""
    total = 0.0
    for line in person.kubectl("get", "--raw", "/metrics").splitlines():
        if (
            line.startswith("apiserver_request_total{")
            and re.search('verb="(APPLY|PATCH|POST|PUT|DELETE)"', line)
            and re.search('resource="(namespaces|secrets|configmaps|services|statefulsets)"', line)
            and 'subresource=""' in line
        ):
            total += float(line.rsplit(" ", 1)[1])
    return total


def test_verify_proves_both_in_a_few_lines(deployed: Person) -> None:
    answer = deployed.run("verify")
    assert answer.exit_code == 0, answer.stdout
    assert len(answer.stdout.encode()) <= 400
    assert re.search(r"kafka +ok +1/1 pods", answer.stdout)
    assert re.search(r"postgres +ok +1/1 pods", answer.stdout)
    assert "\033" not in answer.stdout + answer.stderr


def test_verify_answers_scripts_with_one_documented_object(deployed: Person) -> None:
    answer = deployed.run("verify", "--json")
    assert answer.exit_code == 0
    assert len(answer.stdout.encode()) <= 1500
    assert answer.json["ok"] is True
    assert {each["name"]: each["pods"] for each in answer.json["services"]} == {
        "kafka": {"ready": 1, "total": 1},
        "postgres": {"ready": 1, "total": 1},
    }
    assert {each["image"] for each in answer.json["services"]} == {"compatible"}


def test_one_service_can_be_named(deployed: Person) -> None:
    answer = deployed.run("verify", "postgres", "--json")
    assert [each["name"] for each in answer.json["services"]] == ["postgres"]


def test_up_again_changes_nothing_and_writes_nothing(deployed: Person) -> None:
    before = writes(deployed)
    answer = deployed.run("up", "--json")
    assert answer.exit_code == 0
    assert answer.json["changed"] == []
    assert writes(deployed) == before
    assert "nothing to change" in deployed.run("up").stdout


def test_verify_removes_its_probe_data(deployed: Person) -> None:
    assert deployed.run("verify").exit_code == 0
    assert topics(deployed) == ["learnflow.events"]
    assert schemas(deployed) == ["public"]


def test_what_a_killed_proof_left_is_removed_and_a_running_ones_is_not(deployed: Person) -> None:
    old, new = (f"{seconds:08x}{'0' * 16}" for seconds in (1_600_000_000, int(time.time())))
    for each in (old, new):
        deployed.kafka("kafka-topics", "--create", "--topic", f"infra-probe-{each}")
        made = f"set role learnflow; create schema learnflow_probe_{each} create table probe ()"
        psql(deployed, made)
    try:
        assert deployed.run("verify").exit_code == 0
        assert topics(deployed) == [f"infra-probe-{new}", "learnflow.events"]
        assert schemas(deployed) == [f"learnflow_probe_{new}", "public"]
    finally:
        deployed.kafka("kafka-topics", "--delete", "--topic", f"infra-probe-({old}|{new})")
        both = f"learnflow_probe_{old}, learnflow_probe_{new}"
        psql(deployed, f"drop schema if exists {both} cascade")


SEEN = """\
create table seen (name text, persistence "char");
grant insert on seen to learnflow;
create function see() returns event_trigger language plpgsql as $$ begin
  insert into public.seen select object_identity, relpersistence
    from pg_event_trigger_ddl_commands() join pg_class c on c.oid = objid; end $$;
create event trigger see on ddl_command_end when tag in ('CREATE TABLE', 'CREATE SCHEMA')
  execute function see()"""


def test_an_application_s_publications_and_patterns_see_no_proof(deployed: Person) -> None:
    """A publication of all tables has those that are logged, whatever their schema."""
    psql(deployed, SEEN)
    try:
        assert deployed.run("verify", "postgres").exit_code == 0
        seen = psql(deployed, "select name, persistence from public.seen").split()
    finally:
        psql(deployed, "drop event trigger see; drop function see; drop table seen")
    assert len(seen) >= 2  # by both routes
    assert all(re.fullmatch(r"learnflow_probe_\w+\.probe\|u", each) for each in seen)
    assert not re.match("learnflow.*", PROBES)


def test_a_database_without_its_public_schema_is_well(deployed: Person) -> None:
    psql(deployed, "drop schema public")
    try:
        for command in ("verify", "up"):
            answer = deployed.run(command, "postgres")
            assert answer.exit_code == 0, answer.stdout
    finally:
        psql(deployed, "create schema public authorization pg_database_owner")


def schemas(person: Person) -> list[str]:
    query = "select nspname from pg_namespace where nspname !~ '^(pg_|information_)' order by 1"
    return psql(person, query).split()


def topics(person: Person) -> list[str]:
    """Those that are not Kafka's own."""
    listed = person.kafka("kafka-topics", "--list").split()
    return sorted(name for name in listed if not name.startswith("__"))


def psql(person: Person, statement: str) -> str:
    return person.kubectl(
        *("exec", "-n", NAMESPACE, "postgres-0", "--", "psql", "-U", "postgres"),
        *("-d", "learnflow", "-tAc", statement),
    )


def test_the_role_owns_its_database_and_is_no_superuser(deployed: Person) -> None:
    rights = psql(
        deployed,
        "select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls "
        "from pg_roles where rolname = 'learnflow'",
    )
    assert rights.strip() == "f"
    owner = psql(deployed, "select datdba::regrole from pg_database where datname = 'learnflow'")
    assert owner.strip() == "learnflow"


def test_everything_carries_the_labels_and_one_field_manager(deployed: Person) -> None:
    items = deployed.objects(
        "secrets,configmaps,services,statefulsets",
        "-l",
        "learnflow-app/scope",
        "--show-managed-fields",
    )
    assert len(items) >= 9
    for item in items:
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] in ("kafka", "postgres", "learnflow")
        assert labels["app.kubernetes.io/part-of"] == "learnflow-app"
        assert labels["app.kubernetes.io/managed-by"] == "learnflow-infra"
        assert labels["learnflow-app/scope"] == "phase-2-infrastructure"
        managed = item["metadata"]["managedFields"]
        # What is made once is created, not applied.
        assert "learnflow-infra" in {each["manager"] for each in managed}
        appliers = {each["manager"] for each in managed if each["operation"] == "Apply"}
        assert appliers <= {"learnflow-infra"}


def test_the_connection_secrets_hold_what_clients_know(deployed: Person) -> None:
    kafka, postgres = deployed.secret("kafka-connection"), deployed.secret("postgres-connection")
    assert kafka["bootstrap.servers"] == f"kafka.{NAMESPACE}.svc:9092"
    assert postgres["uri"].startswith("postgresql://learnflow:")
    assert postgres["jdbc-uri"].startswith("jdbc:postgresql://postgres.learnflow.svc:5432/")
    for key in ("type", "provider", "host", "port", "username", "password", "database"):
        assert postgres[key]
    assert len(postgres["password"]) >= 24


def test_the_services_own_tools_are_in_their_clients_with_the_login(deployed: Person) -> None:
    def client(service: str, *command: str) -> list[str]:
        pod = ("exec", "-n", NAMESPACE, f"{service}-client-0", "--")
        return deployed.kubectl(*pod, *command).split()

    question = "select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()"

    def shown() -> bool:  # a login that was just renewed takes the kubelet a second
        try:
            return client("postgres", "psql", "-tAc", question) == ["learnflow|t"]
        except AssertionError as error:
            assert "password authentication failed" in str(error)
            return False

    eventually(shown)
    server = ("--bootstrap-server", f"kafka.{NAMESPACE}.svc:9092")
    login = ("--command-config", "/etc/connection/client.properties")
    tool = "/opt/kafka/bin/kafka-topics.sh"
    assert "learnflow.events" in client("kafka", tool, *server, *login, "--list")


def test_no_command_prints_a_secret(deployed: Person) -> None:
    secrets = {
        base64.b64decode(value).decode()
        for item in deployed.objects("secrets", "-l", "learnflow-app/scope")
        for key, value in item["data"].items()
        if "password" in key
    }
    assert secrets
    for arguments in (["up"], ["verify"], ["status"], ["render"]):
        for more in ([], ["--json"]):
            answer = deployed.run(*arguments, *more)
            assert answer.exit_code == 0
            for secret in secrets:
                assert secret not in answer.stdout + answer.stderr


def test_a_ready_pod_behind_a_dead_service_is_no_success(mended: Person) -> None:
    patch = json.dumps({"spec": {"selector": {"app.kubernetes.io/name": "nothing"}}})
    mended.kubectl("patch", "service", "postgres", "-n", NAMESPACE, "-p", patch)
    answer = mended.run("verify", "--json")
    assert answer.exit_code == 1
    assert answer.codes == ["service-unreachable"]
    assert answer.json["findings"][0]["service"] == "postgres"
    answer = mended.run("up", "--json")
    assert answer.exit_code == 0
    assert answer.json["changed"] == ["service/postgres"]


def test_a_workload_without_pods_is_no_success(mended: Person) -> None:
    mended.kubectl("scale", "statefulset", "kafka", "-n", NAMESPACE, "--replicas=0")
    mended.kubectl("wait", "pod/kafka-0", "-n", NAMESPACE, "--for=delete", "--timeout=60s")
    answer = mended.run("verify", "kafka", "--json")
    assert answer.exit_code == 1
    assert answer.codes == ["scaled-down"]


def test_what_no_longer_belongs_is_pruned_and_nothing_else(deployed: Person) -> None:
    def config_map(name: str, labels: dict[str, str]) -> str:
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            }
        )

    ours = {
        "app.kubernetes.io/name": "kafka",
        "learnflow-app/scope": "phase-2-infrastructure",
    }
    apply = ("apply", "--server-side", "--field-manager", "learnflow-infra", "-f", "-")
    deployed.kubectl(*apply, stdin=config_map("old", ours))
    deployed.kubectl(*apply, stdin=config_map("foreign", {"app.kubernetes.io/name": "kafka"}))
    deployed.kubectl("apply", "-f", "-", stdin=config_map("by-hand", ours))
    answer = deployed.run("up", "--json")
    assert answer.json["changed"] == ["configmap/old"]
    names = {each["metadata"]["name"] for each in deployed.objects("configmaps")}
    assert "old" not in names
    assert {"foreign", "by-hand"} <= names
    deployed.kubectl("delete", "configmap", "foreign", "by-hand", "-n", NAMESPACE)


def test_an_object_of_another_owner_is_left_alone(person: Person) -> None:
    person.kubectl("create", "namespace", "taken")
    person.kubectl("create", "service", "clusterip", "kafka", "--tcp=80", "-n", "taken")
    before = person.kubectl("get", "service", "kafka", "-n", "taken", "-o", "json")
    person.settings('[cluster]\nnamespace = "taken"\n')
    try:
        answer = person.run("up", "kafka", "--json")
        assert answer.exit_code == 1
        assert answer.codes == ["foreign-object"]
        assert person.kubectl("get", "service", "kafka", "-n", "taken", "-o", "json") == before
    finally:
        person.settings("")
        person.kubectl("delete", "namespace", "taken")


def test_what_cannot_fit_is_refused_at_once_with_both_figures(person: Person) -> None:
    person.settings('[cluster]\nnamespace = "big"\n[kafka]\nmemory = "900Gi"\n')
    answer = person.run("up", "kafka", "--json")
    person.settings("")
    assert answer.exit_code == 4
    assert answer.codes == ["room-missing"]
    assert "921608 MiB" in answer.json["findings"][0]["message"]
    assert person.kubectl("get", "secrets,statefulsets", "-n", "big", "-o", "name") == ""


def test_a_storage_class_that_is_not_there_is_refused(person: Person) -> None:
    person.settings('[cluster]\nnamespace = "big"\n[postgres]\nstorage_class = "gold"\n')
    answer = person.run("up", "postgres", "--json")
    person.settings("")
    assert answer.exit_code == 4
    assert answer.codes == ["storage-class-missing"]
    assert "standard" in answer.json["findings"][0]["message"]


def test_the_timeout_bounds_the_command(deployed: Person) -> None:
    answer = deployed.run("verify", "--json", "--timeout", "0.01")
    assert answer.exit_code == 5
    assert answer.codes == ["deadline-passed"]
    assert deployed.run("verify", "--timeout", "60").exit_code == 0


def test_an_interrupt_ends_it_with_130(deployed: Person) -> None:
    process = deployed.start("connect", "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert process.communicate() == ("", "")


def test_an_interrupted_up_says_so_and_the_next_goes_on(person: Person, elsewhere: str) -> None:
    process = person.start("up", "postgres", "--json")
    assert process.stderr is not None
    while "applied" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert [each["code"] for each in valid(stdout)["findings"]] == ["interrupted"]
    assert "Traceback" not in stderr
    answer = person.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout


def test_the_local_cluster_says_how_it_is(person: Person) -> None:
    assert person.run("cluster", "status", "--json").json["state"] == "running"


def test_a_context_that_is_not_there_is_exit_3(person: Person) -> None:
    answer = person.run(
        "verify", "--json", "--context", "nowhere", PATH=str(person.kubectl_folder())
    )
    assert answer.exit_code == 3
    assert answer.codes == ["kubectl-failed"]
    assert "nowhere" in answer.json["findings"][0]["message"]
    assert answer.json["services"] == []


def test_any_context_can_be_named(deployed: Person) -> None:
    kubectl = deployed.kubectl_folder()
    answer = deployed.run(
        "verify", "--json", "--context", "learnflow-local", PATH=f"{kubectl}:/bin"
    )
    assert answer.exit_code == 0, answer.stdout


def test_the_manifests_are_what_kubectl_apply_takes(deployed: Person) -> None:
    manifests = deployed.run("render").stdout
    assert not re.search(r'password="(?!\$\{)|kind: Secret', manifests)
    said = deployed.kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifests)
    assert said.count("server dry run") == manifests.count("\nkind: ")
