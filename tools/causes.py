"""The table of causes as a page of Markdown, docs/causes.md."""

from __future__ import annotations

from learnflow_infra.findings.causes import CAUSES, order
from learnflow_infra.services import registry


def reference() -> str:
    """The page: every cause with its exit code, its meaning and its remedy."""
    registry.own()  # a service brings its own causes
    causes = sorted(CAUSES.values(), key=lambda each: order(each.code))
    rows = [f"| `{c.code}` | {c.exit.value} | {c.meaning} | {c.remedy} |" for c in causes]
    return "\n".join(
        [
            "# Causes",
            "",
            "What a finding's code means. Generated from the tables in `findings/causes/` and in",
            "each service's `causes.py` (`make docs`).",
            "",
            "| code | exit | meaning | what to do |",
            "|---|---|---|---|",
            *rows,
            "",
            "Each is brought about by a test, but for these:",
            "",
            *(f"- `{c.code}`: {c.untested}" for c in causes if c.untested),
            "",
        ]
    )


if __name__ == "__main__":
    print(reference(), end="")
