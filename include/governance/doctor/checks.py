"""The checks of the doctor: each returns what is wrong with one use case."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from include.catalog import catalog
from include.governance.doctor.both_logs import describe_problems
from include.governance.doctor.facts import named_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from include.governance.doctor.facts import ModelReading

# A change is carried out, and old servers end, within this time.
SETTLING = timedelta(seconds=60)
# The controller writes a report at least every 10 s.
REPORT_TIMEOUT = timedelta(seconds=40)
ENDS_OF_VERSION = frozenset({"promoted", "restored", "aborted"})
ROLES = ("champion", "challenger")
ENDS_OF_ALL = frozenset({"rolled_back", "switched_off", "retired"})


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Something that is wrong with a use case, and the check that found it."""

    check: str
    use_case: str
    problem: str


def check_champion(model: ModelReading) -> list[str]:
    """Find use cases without a champion, and versions that are not registered, or not as certified."""
    state = model.state
    problems = []
    if state.champion is None and not state.retired and model.ledger_champion is not None:
        problems.append("it has no champion, and the ledger names one")
    for version in sorted(named_versions(state)):
        if version not in model.registered:
            problems.append(f"version {version} is in use, and the ledger has no registration of it")
    problems += [f"version {version}: {fault}" for version, fault in model.faults.items()]
    return problems


def check_weight(model: ModelReading) -> list[str]:
    """Find a share of the traffic that no declared step has."""
    state = model.state
    if state.challenger is None and (state.weight or state.shadow_share):
        return [f"weight {state.weight} and shadow share {state.shadow_share:g} without a challenger"]
    use_case = catalog().use_cases.get(state.use_case)
    steps = {0, *(100 * percent for percent in use_case.rollout.steps)} if use_case else set()
    if use_case and state.weight not in steps:
        declared = ", ".join(f"{percent} %" for percent in use_case.rollout.steps)
        return [f"the challenger has {state.weight / 100:g} % of the traffic; declared are {declared}"]
    return []


def check_traffic(model: ModelReading) -> list[str]:
    """Find a version that gets traffic and should not."""
    route = ((model.live or {}).get("detail") or {}).get("route") or {}
    routed = {route[role] for role in ROLES if route.get(role) is not None}
    if model.age < SETTLING:
        return []
    allowed = set() if model.state.retired else named_versions(model.state)
    return [f"version {version} gets traffic and is not in use" for version in sorted(routed - allowed)]


def check_rollouts(model: ModelReading) -> list[str]:
    """Find rollouts without an end in the ledger, or with two."""
    problems = []
    open_version = None
    for event, version in model.entries:
        if event == "staged":
            open_version = version
        elif event in ENDS_OF_VERSION and version != open_version:
            problems.append(f"version {version} was {event} without a rollout in progress")
        elif event in ENDS_OF_VERSION or event in ENDS_OF_ALL:
            open_version = None
    if open_version != model.state.challenger:
        problems.append(
            f"by the ledger version {open_version} is being rolled out, by the desired state "
            f"version {model.state.challenger}"
        )
    return problems


def check_servers(model: ModelReading) -> list[str]:
    """Find model servers that are not in use, and versions in use with another number than declared."""
    use_case = catalog().use_cases.get(model.state.use_case)
    is_remote = use_case is not None and use_case.serving.target != "local"
    if model.servers is None or model.age < SETTLING or is_remote:
        return []
    expected = set() if model.state.retired else named_versions(model.state)
    running = set(model.servers)
    problems = [f"a server of version {version} runs and is not in use" for version in running - expected]
    problems += [f"no server of version {version} runs" for version in expected - running]
    replicas = use_case.serving.replicas if use_case else 1
    counts = Counter(version for version in model.servers if version in expected)
    problems += [
        f"version {version} has {count} servers, and {replicas} should run"
        for version, count in counts.items()
        if count != replicas
    ]
    return sorted(problems)


def check_agreement(model: ModelReading) -> list[str]:
    """Find differences between ledger, registry, desired state and live state."""
    state = model.state
    problems = []
    if model.ledger_champion != state.champion:
        problems.append(f"the champion is {state.champion}, and by the ledger {model.ledger_champion}")
    if model.aliases is not None:
        for alias in ("champion", "challenger", "previous"):
            version = getattr(state, alias)
            if model.aliases.get(alias) != version and model.age > SETTLING:
                problems.append(f"MLflow's {alias} is {model.aliases.get(alias)}, and should be {version}")
    if model.age > SETTLING:
        problems += _live_problems(model)
    return problems


def _live_problems(model: ModelReading) -> list[str]:
    if model.live is None or model.reported > REPORT_TIMEOUT:
        return ["the controller does not report: does it run?"]
    if model.live["generation"] != model.state.generation:
        return [f"generation {model.live['generation']} is live, and {model.state.generation} is desired"]
    if not model.live["ready"]:
        return [f"the desired state is not live: {model.live['detail'].get('reason')}"]
    return []


def check_answers(model: ModelReading) -> list[str]:
    """Find requests that do not have exactly one answer, in both logs, of one version."""
    is_served = model.live is not None and not model.state.retired
    return describe_problems(model.responses, is_served=is_served)


def check_monitoring(model: ModelReading) -> list[str]:
    """Find a champion whose monitoring has stopped."""
    state = model.state
    if state.champion is None or state.retired or not model.unchecked:
        return []
    hours = model.unchecked / timedelta(hours=1)
    return [
        f"drift and quality were not checked for {hours:.0f} h: see whether Airflow's scheduler runs, and "
        f"{state.use_case}_monitoring is neither paused nor red"
    ]


CHECKS: dict[str, Callable[[ModelReading], list[str]]] = {
    "champion": check_champion,
    "weight": check_weight,
    "traffic": check_traffic,
    "rollouts": check_rollouts,
    "servers": check_servers,
    "agreement": check_agreement,
    "answers": check_answers,
    "monitoring": check_monitoring,
}


def examine(models: Iterable[ModelReading]) -> list[Contradiction]:
    """Return the findings of all checks."""
    findings = []
    for model in models:
        for name, check in CHECKS.items():
            findings += [Contradiction(name, model.state.use_case, problem) for problem in check(model)]
    return findings
