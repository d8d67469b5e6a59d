"""`init`: a settings file to start from, with a schema of it for editors."""

from __future__ import annotations

import json
from pathlib import Path

from learnflow_infra.commands import Request
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.report import Report
from learnflow_infra.services import registry
from learnflow_infra.settings import PLACE, every_section, reference


def init(request: Request) -> Report:
    """Write both where they are looked for; a settings file that is there is kept. Raises
    Failure(folder-unwritable)."""
    file = Path(request.options["folder"]) / PLACE
    services = registry.sections(None)
    sections = every_section(services)
    schema = json.dumps(reference.schema(sections), indent=1) + "\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_name(reference.SCHEMA_NAME).write_text(schema)
        try:
            with file.open("x") as new:
                new.write(reference.to_toml(sections, [*services]))
            said = f"wrote {file}"
        except FileExistsError:
            said = f"{file} is there already and was kept"
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
        raise Failure(finding("folder-unwritable", message)) from error
    return Report("init", lines=[said], details={"settings": str(file)})
