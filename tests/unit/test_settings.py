"""What a person's infra.toml may hold, and what is said when it holds something else."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnflow_infra import settings
from learnflow_infra.findings.causes import Exit
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host import paths
from learnflow_infra.services.kafka.settings import KafkaSettings
from learnflow_infra.services.registry import sections

FILE = Path("learnflow-app/phase-2-infrastructure/infra.toml")


def test_the_file_of_the_scope_states_every_setting_with_its_default() -> None:
    text = (paths.shipped("learnflow-app").parent / FILE).read_text()
    table = tomllib.loads(text)
    assert settings.parse(table, sections) == settings.parse({}, sections)
    assert table.pop("services") == list(sections(None))
    stated = {f"{section}.{key}" for section, values in table.items() for key in values}
    whole = vars(settings.parse({}, sections))
    there = {
        **{name: whole[name] for name in whole if name not in ("services", "file")},
        **whole["services"],
    }
    fields = {f"{section}.{key}" for section, values in there.items() for key in vars(values)}
    assert stated == fields


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (
            "[kafka]\nbroker = 1",
            "kafka.broker: no such setting; did you mean brokers? There are image, cpu",
        ),
        ("[kafka]\nbrokers = 2", "kafka.brokers: must be 1 or 3, not 2"),
        ("[kafka]\nbrokers = true", "kafka.brokers: must be a whole number, not True"),
        ("[kafka]\nmemory = '1GB'", "kafka.memory: must be a size such as 512Mi or 2Gi"),
        ("[kafka]\nhost_port = 80", "kafka.host_port: must be 1024 to 65533"),
        ("[kafka]\ntopics = [{name = 'a b'}]", "kafka.topics[0].name: must be a Kafka topic name"),
        ("[kafka]\ntopics = [{partitions = 1}]", "kafka.topics[0].name: is missing"),
        ("[kafka]\ntopics = [{name='a'},{name='a'}]", "'a' is named twice"),
        ("[kafka]\ntopics = [{name='__x'}]", "a name that Kafka keeps for itself"),
        ("[kafka]\nuser_topics = []\ntopics = []", "kafka.user_topics: must name at least one"),
        ("[kafka]\nuser_topics = ['_*']", "'_*' includes topics that Kafka keeps for itself"),
        ("[kafka]\nuser_topics = ['*']", "'*' includes topics that Kafka keeps for itself"),
        ("[kafka]\nuser_topics = ['__a']", "'__a' includes topics that Kafka keeps for itself"),
        ("[kafka]\nuser_topics = ['a*b']", "kafka.user_topics[0]: must be a name, or what names"),
        ("[kafka]\nuser_topics = 'a.'", "kafka.user_topics: must be an array"),
        (
            "[kafka]\ntopics = [{name='a',replication_factor=3}]",
            "'a' asks for 3 replicas, and kafka.brokers is 1",
        ),
        ("[kafka]\ntopics = [{name='a',config=3}]", "kafka.topics[0].config: must be a table"),
        (
            "[kafka]\ntopics = [{name='a',config={x=[1]}}]",
            "kafka.topics[0].config.x: must be a text, a number, or true or false",
        ),
        (
            "[kafka]\ntopics = [{name='a',config={'a.b'=1,a={b=2}}}]",
            "kafka.topics[0].config.a.b: is there twice",
        ),
        (
            "[kafka]\ntopics = [{name='a',config={'x y'=1}}]",
            "kafka.topics[0].config: must have names of letters",
        ),
        ("[postgres]\nparameters = {ssl = true}", "ssl is the deployment's own, which follows"),
        ("[postgres]\ndatabases = [{name='learnflow'}]", "'learnflow' is named twice"),
        ("[postgres]\ndatabases = [{name='a', owner='pg_x'}]", "a name that PostgreSQL keeps"),
        (
            "[postgres]\ndatabases = [{name='a_b'}]\nusers = [{name='a_b'}]",
            "'a_b' is named twice",
        ),
        (
            "[postgres]\ndatabases = [{name='a',owner='b'}]\nusers = [{name='a'}]",
            "a user's name is a database's as well",
        ),
        ("[postgres]\nextensions = ['Postgis;']", "postgres.extensions[0]: must be an extension"),
        ("[kafka.config]\n'listeners' = 'x'", "listeners is the deployment's own"),
        ("[kafka.config]\nsasl.mechanism.x = 1", "sasl.mechanism.x is the deployment's own"),
        ("[kafka]\nuser = 'admin'", "'admin' is a user that the deployment keeps"),
        ("[kafka]\nusers = ['x']", "kafka.users[0]: must be a table"),
        ("[kafka]\nusers = [{name='x y'}]", "kafka.users[0].name: must be a user's name"),
        ("[kafka]\nusers = [{name='learnflow'}]", "'learnflow' is named twice"),
        ("[kafka]\nusers = [{name='x', access='root'}]", "must be read or write or own"),
        ("[kafka]\nusers = [{name='x', topics=['__c']}]", "'__c' includes topics that Kafka"),
        (
            "[postgres]\nuser = 'postgres'",
            "postgres.user: 'postgres' is a name that PostgreSQL keep",
        ),
        ("[postgres]\nuser = 'pg_monitor'", "postgres.user: 'pg_monitor' is a name that Postgre"),
        ("[postgres]\nusers = [{name = 'public'}]", "postgres.users: 'public' is a name that"),
        ("[postgres]\nusers = [{name = 'learnflow_write'}]", "is a role that the deployment keeps"),
        (
            "[postgres]\nusers = [{name = 'learnflow'}]",
            "postgres.users: 'learnflow' is named twice",
        ),
        ("[postgres]\nusers = [{name = 'a_'}]", "postgres.users[0].name: must be a role such as"),
        ("[postgres]\nusers = [{name = 'a', access = 'all'}]", "access: must be read or write"),
        ('[postgres]\nuser = "a\';drop"', "postgres.user: must be lower-case letters"),
        ("[postgres]\ndatabase = 'template1'", "postgres.database: must not be"),
        ("[postgres]\nhost_port = 19092", "postgres.host_port: 19092 is one of kafka's host ports"),
        ("[cluster]\nprovider = 'kind'", "cluster.provider: must be auto or minikube or local"),
        ("[cluster]\nnamespace = 'Learn_Flow'", "cluster.namespace: must be a DNS label"),
        (
            "[redis]\n",
            "redis: no such setting; There are services, cluster, images, security, kafka, ",
        ),
        ("services = ['redis']", "services: 'redis' is no service; there are kafka, postgres"),
        ("services = []", "services: must name at least one, and each once"),
        ("services = ['kafka', 'kafka']", "services: must name at least one, and each once"),
        ("services = 'kafka'", "services: must be an array of services' names, not 'kafka'"),
        ("services = [1]", "services: must be an array of services' names, not [1]"),
        ("[security]\nencryption = 1", "security.encryption: must be true or false, not 1"),
        ("[security]\nencryption = 'no'", "security.encryption: must be true or false"),
        ("kafka = 3", "kafka: must be a table"),
        ("[kafka\n", "is no TOML"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(
    tmp_path: Path, toml: str, said: str
) -> None:
    file = tmp_path / "infra.toml"
    file.write_text(toml)
    with pytest.raises(Failure) as raised:
        settings.load(str(file), sections)
    found = raised.value.findings[0]
    assert found.code == "settings-invalid"
    assert raised.value.exit_code is Exit.USAGE
    assert str(file) in found.message
    assert said in found.message


# Each ends a field, or begins something else, in one of the languages that a value passes through.
HOSTILE = {
    "a quote": "x'; drop table x; --",
    "a double quote": 'x"\n[cluster]',
    "a line of YAML": "x\nhostNetwork: true",
    "a line of properties": "x\nsuper.users=User:x",
    "JAAS": 'x" password="y" required;',
    "a shell's substitution": "$(id)",
    "Kafka's substitution": "${env:PATH}",
    "a null byte": "x\0y",
    "a path": "../../etc/passwd",
    "an option": "--from-literal=x",
}
FIELDS = [
    "[cluster]\nnamespace = {}",
    "[kafka]\nimage = {}",
    "[kafka]\nmemory = {}",
    "[kafka]\nstorage_class = {}",
    "[kafka]\nuser = {}",
    "[kafka]\nuser_topics = [{}]",
    "[kafka]\nuser_groups = [{}]",
    "[[kafka.topics]]\nname = {}",
    "[[kafka.users]]\nname = {}",
    "[[kafka.users]]\nname = 'x'\ngroups = [{}]",
    "[postgres]\nuser = {}",
    "[postgres]\ndatabase = {}",
    "[[postgres.users]]\nname = {}",
]


def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "infra.toml"
    file.write_bytes(b"\xef\xbb\xbf[kafka]\r\nbrokers = 3\r\n")
    assert settings.load(str(file), sections).of(KafkaSettings).brokers == 3
    file.write_bytes("[kafka]".encode("utf-16"))
    with pytest.raises(Failure, match="is no TOML"):
        settings.load(str(file), sections)


@pytest.mark.intruder("leaves a setting's field by {}", by="the settings' rules")
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_setting_takes_a_value_that_leaves_its_field(value: str) -> None:
    for field in FIELDS:
        table = tomllib.loads(field.format(json.dumps(value)))
        with pytest.raises(ValueError, match=r"must be .*, not "):
            settings.parse(table, sections)


def test_a_settings_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"missing\.toml.*No such file"):
        settings.load(str(tmp_path / "missing.toml"), sections)


def test_the_nearest_file_above_the_working_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / FILE
    file.parent.mkdir(parents=True)
    file.write_text("[kafka]\nbrokers = 3\n")
    below = tmp_path / "some" / "folder"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert settings.load(None, sections).of(KafkaSettings).brokers == 3


def test_a_file_of_the_name_in_the_working_folder_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here := tmp_path / "project").mkdir()
    monkeypatch.chdir(here)
    (stray := here / "infra.toml").write_text("[kafka]\nbrokers = 3\n")
    with pytest.raises(Failure, match=r"settings-misplaced: .* settings lie in learnflow-app"):
        settings.load(None, sections)
    assert settings.load("infra.toml", sections).file == stray  # as the remedy says
    file = here / FILE
    file.parent.mkdir(parents=True)
    file.write_text("")
    with pytest.raises(
        Failure, match=r"settings-misplaced: .* the settings are learnflow-app/…/infra\.toml"
    ):
        settings.load(None, sections)
    stray.replace(file)  # as the remedy says
    assert settings.load(None, sections).file == file
    assert settings.load(None, sections).of(KafkaSettings).brokers == 3
    monkeypatch.chdir(file.parent)  # where the name is that of the file itself
    assert settings.load(None, sections).file == file


def test_which_file_it_is_takes_few_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.shown(tmp_path / FILE) == "learnflow-app/…/infra.toml"
    assert settings.shown(tmp_path / "other.toml").endswith("/other.toml")
    assert settings.shown(None) == "the defaults, no infra.toml found"
    long = settings.shown(Path("/") / ("x" * 200) / FILE)
    assert len(long) == 60
    assert long.endswith(str(FILE))


def test_the_command_line_names_the_cluster_over_the_settings() -> None:
    given_ = settings.parse({"cluster": {"context": "team"}}, sections)

    def named(**names: str) -> settings.ClusterSettings:
        none = {"provider": None, "context": None, "namespace": None}
        return settings.override(given_, **(none | names)).cluster

    assert named().context == "team"
    assert named(provider="local").context == ""
    assert named(context="mine").context == "mine"
    assert named(namespace="theirs").namespace == "theirs"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["cluster", "images", "kafka", "postgres", "services", "x"]),
        st.dictionaries(
            st.sampled_from(["image", "brokers", "topics", "user", "namespace", "y"]), values
        )
        | values,
    )
)
def test_any_table_gives_settings_or_a_sentence(table: dict[str, object]) -> None:
    try:
        settings.parse(table, sections)
    except ValueError as error:
        assert ":" in str(error)


def test_the_settings_say_which_services_are_deployed() -> None:
    table = {"services": ["postgres"], "kafka": {"host_port": 15432}}
    assert list(settings.parse(table, sections).services) == ["postgres"]
    with pytest.raises(ValueError, match=r"kafka\.brokers"):
        settings.parse(table | {"kafka": {"brokers": 2}}, sections)


def test_the_size_says_what_is_left_empty() -> None:
    small = settings.parse({"cluster": {"size": "small"}, "kafka": {"memory": "1Gi"}}, sections)
    assert (small.of(KafkaSettings).cpu, small.of(KafkaSettings).memory) == ("100m", "1Gi")
    assert (small.services["postgres"].cpu, small.services["postgres"].memory) == ("50m", "192Mi")
    assert settings.parse({}, sections).of(KafkaSettings).memory == "768Mi"
