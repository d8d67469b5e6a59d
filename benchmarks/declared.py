"""Settings that declare what applications need: LearnFlow's own list, and many of each kind."""

from __future__ import annotations

LEARNFLOW = """
[kafka]
user_groups = ["learnflow.*", "enrolment", "billing"]
users = [
  { name = "billing", access = "write", topics = ["payments"], groups = ["billing"] },
  { name = "reports", access = "read", topics = ["learnflow.*"], groups = ["reports"] },
]
topics = [
  { name = "learnflow.events" },
  { name = "enrolments", partitions = 6 },
  { name = "payments", config = { "retention.ms" = 604800000 } },
  { name = "profiles", config = { "cleanup.policy" = "compact" } },
  { name = "lessons" },
  { name = "notifications", partitions = 1 },
]
[postgres]
extensions = ["pg_trgm"]
databases = [{ name = "analytics" }]
users = [{ name = "reports", access = "read" }]
parameters = { max_connections = 200, work_mem = "8MB" }
"""


def many(topics: int, users: int, databases: int) -> str:
    """So many of each; half of the users are Kafka's."""
    kafka = "".join(
        f'[[kafka.users]]\nname = "user-{n}"\ntopics = ["topic.{n}"]\ngroups = ["group-{n}"]\n'
        for n in range(users // 2)
    )
    kafka += "".join(
        f'[[kafka.topics]]\nname = "topic.{n}"\npartitions = 1\n' for n in range(topics)
    )
    postgres = "".join(f'[[postgres.databases]]\nname = "base_{n}"\n' for n in range(databases))
    postgres += "".join(f'[[postgres.users]]\nname = "user_{n}"\n' for n in range(users // 2))
    return kafka + postgres
