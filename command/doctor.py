"""`engrain doctor`: looks at the machine, the settings and a running Engrain, and says what to do next."""

import json
from dataclasses import asdict

from command.api import Api, Refused
from command.machine import Finding, State, examine, ports
from command.ownership import owner
from command.screen import Screen
from knowledge.errors import EngrainError
from knowledge.settings import Settings


def doctor(settings: Settings, url: str, *, as_json: bool) -> int:
    """Prints the findings; 1 when one of them is a problem."""
    findings = examine(settings)
    holder = owner(settings.data_folder)
    if holder:
        findings.append(Finding("data folder", State.OK, f"in use by {holder}"))
    else:
        findings += ports(settings)
    findings += _service(url, running=bool(holder))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        Screen().findings(findings)
    return 1 if any(finding.state is State.PROBLEM for finding in findings) else 0


def _service(url: str, *, running: bool) -> list[Finding]:
    try:
        with Api(url) as api:
            checks = api.get("/readyz")["checks"]
    except Refused as refused:
        checks = refused.problem.get("checks", {"answer": str(refused)})
    except EngrainError:
        state = State.PROBLEM if running else State.WARNING
        remedy = "Look into the logs in the data folder." if running else "Start it with `engrain up`."
        return [Finding("service", state, f"{url} does not answer", remedy)]
    return [
        Finding("service", State.OK, f"{name}: ok")
        if told == "ok"
        else Finding("service", State.PROBLEM, f"{name}: {told}", f"Look into the log of {name} in the data folder.")
        for name, told in checks.items()
    ]
