"""The installer: sessions of Windows Installer around the two custom actions, as a pure state machine (spec installer).

`run` answers a scenario with every action of every session, in order, with the state after each. What the pages do not
tell, the model takes as Windows Installer documents it: a component's installed state is that of the session's own
product, fixed at CostFinalize; a component that other products hold is not asked to go; standard actions are rolled
back where rollback was on when they ran, custom actions have no way back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from wintun_model.installer_evaluate import Module, evaluate
from wintun_model.installer_process import ERROR, OK, WARNING, process
from wintun_model.installer_scenario import (
    ANCHOR,
    EVALUATES_AFTER,
    NO_MODULE,
    REMOVAL,
    STANDARD_ACTIONS,
    Event,
    Kind,
    Position,
    Report,
    Scenario,
    Session,
    products_of,
    start_of,
)
from wintun_model.installer_state import ANCHOR_VALUE, ERROR_INSTALL_FAILURE, InstallState, Machine

SKIPPED = "skipped"
_SCRIPTED = STANDARD_ACTIONS[STANDARD_ACTIONS.index("ProcessComponents") : STANDARD_ACTIONS.index("InstallExecute")]
"""What only writes to the script, and acts when that runs."""


def run(scenario: Scenario) -> Report:
    """Answer a scenario (spec installer §3). The same scenario has the same answer, always."""
    world = _World(scenario)
    start = world.machine
    product, _ = products_of(scenario.kind)
    wants = InstallState.ABSENT if scenario.kind is Kind.UNINSTALL else InstallState.LOCAL
    session = _SessionRun(world, scenario.kind.value, product, wants, scenario.new, scenario.revision)
    session.run()
    sessions = tuple(Session(one.name, one.product, one.parent, one.error) for one in world.sessions)
    return Report(start, sessions, tuple(world.events))


class _World:
    """What the sessions of one scenario share."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.machine = start_of(scenario) if scenario.start is None else scenario.start
        self.events: list[Event] = []
        self.sessions: list[_SessionRun] = []


Effect = Callable[[Machine], Machine]


@dataclass
class _SessionRun:
    """One session while it runs."""

    world: _World
    name: str
    product: str
    wants: InstallState
    module: Module
    revision: str
    parent: str = ""
    error: int = 0
    installed: InstallState = InstallState.ABSENT
    action: InstallState = InstallState.UNKNOWN
    data: str = ""
    is_rollback_enabled: bool = True
    script: list[tuple[str, str]] = field(default_factory=list)
    undo: list[tuple[str, Effect]] = field(default_factory=list)

    @property
    def is_upgrade(self) -> bool:
        return self.name == Kind.MAJOR

    def sequence(self) -> list[str]:
        """The session's actions in order, by what the scenario and the revision say."""
        position = self.world.scenario.position if self.is_upgrade else None
        actions = []
        for action in STANDARD_ACTIONS:
            if action == "InstallExecute" and position is not Position.EXECUTE:
                continue
            actions.append(action)
            if action == EVALUATES_AFTER[self.revision]:
                actions.append("EvaluateWintun")
            if action == position:
                actions.append("RemoveExistingProducts")
        return actions

    def log(self, phase: str, action: str, outcome: str, note: str, step: str = "") -> None:
        self.world.events.append(Event(self.name, phase, action, step, outcome, note, self.world.machine))

    def run(self) -> None:
        """Run the sequence; an action that fails ends it, and undoes what can be undone."""
        self.world.sessions.append(self)
        for action in self.sequence():
            if not self._perform(action):
                self.error = ERROR_INSTALL_FAILURE
                self._roll_back()
                return

    def _perform(self, action: str) -> bool:
        """One action at its place in the sequence; answers whether the session goes on."""
        if action not in _SCRIPTED and (fault := self.world.scenario.faults.find("action", action, self.name)):
            self.log("sequence", action, ERROR, f"failed with error {fault.error or ERROR_INSTALL_FAILURE}")
            return False
        if action == "EvaluateWintun":
            return self._evaluate()
        if action == "RemoveExistingProducts":
            return self._remove_existing_products()
        if action == "CostFinalize":
            self._cost()
        elif action in _SCRIPTED:
            self.script.append((action, self.data if action == "ProcessWintun" else ""))
            self.log("sequence", action, OK, "written to the script")
        elif action in ("InstallExecute", "InstallFinalize"):
            return self._run_script(action)
        else:
            self.log("sequence", action, OK, "")
        return True

    def _cost(self) -> None:
        """Fix the anchor component's states, from whom it is held by now."""
        clients = self.world.machine.clients
        self.installed = InstallState.LOCAL if self.product in clients else InstallState.ABSENT
        others = [client for client in clients if client != self.product]
        if self.wants is InstallState.LOCAL:
            self.action, why = InstallState.LOCAL, ""
        elif self.installed is InstallState.LOCAL and not others:
            self.action, why = InstallState.ABSENT, ""
        else:
            self.action = InstallState.UNKNOWN
            why = f": {', '.join(others)} still hold{'s' if len(others) == 1 else ''} it" if others else ""
        asked = "nothing" if self.action is InstallState.UNKNOWN else self.action.name.lower()
        self.log("sequence", "CostFinalize", OK, f"component {self.installed.name.lower()}, asked: {asked}{why}")

    def _evaluate(self) -> bool:
        if self.is_upgrade and self.revision == "0.8":
            # Upstream tells that it ran only once, not in which session; the model takes the removal (§3).
            self.log("sequence", "EvaluateWintun", SKIPPED, "0.8 runs it once in a major upgrade: in the removal")
            return True
        faults = self.world.scenario.faults
        evaluation = evaluate(
            self.installed,
            self.action,
            self.module,
            self.world.machine,
            is_component_there=faults.find("find-component", "", self.name) is None,
            is_state_readable=faults.find("read-component", "", self.name) is None,
        )
        if evaluation.error:
            self.log("sequence", "EvaluateWintun", ERROR, f"error {evaluation.error}: {evaluation.reason}")
            return False
        self.data = evaluation.data
        self.is_rollback_enabled = not evaluation.disables_rollback
        decision = self.data.split("-")[0] or "nothing to do"
        self.log("sequence", "EvaluateWintun", OK, f"{decision} ({evaluation.reason}); rollback disabled")
        return True

    def _remove_existing_products(self) -> bool:
        """The old product's removal, a whole session inside this one."""
        scenario = self.world.scenario
        _, old = products_of(scenario.kind)
        self.log("sequence", "RemoveExistingProducts", OK, "starts the removal of the old product")
        nested = _SessionRun(
            self.world,
            REMOVAL,
            old,
            InstallState.ABSENT,
            scenario.installed or NO_MODULE,
            scenario.old_revision or scenario.revision,
            parent=self.name,
        )
        nested.run()
        # Nothing of an ended removal is left to be undone by this session: its EvaluateWintun has disabled rollback.
        outcome = (ERROR, f"the removal failed with error {nested.error}") if nested.error else (OK, "ended")
        self.log("sequence", "RemoveExistingProducts", *outcome)
        return not nested.error

    # -- the script ---------------------------------------------------------------------------------------------------

    def _run_script(self, action: str) -> bool:
        """InstallExecute and InstallFinalize: run what was written to the script since the last time."""
        self.log("sequence", action, OK, "runs the script")
        script, self.script = self.script, []
        for deferred, data in script:
            if not self._run_deferred(deferred, data):
                return False
        if action == "InstallFinalize":
            self.undo.clear()
            self.log("sequence", action, OK, "ends the transaction")
        return True

    def _run_deferred(self, action: str, data: str) -> bool:
        if fault := self.world.scenario.faults.find("action", action, self.name):
            self.log("script", action, ERROR, f"failed with error {fault.error or ERROR_INSTALL_FAILURE}")
            return False
        if action == "ProcessWintun":
            return self._process(data)
        before = self.world.machine
        note = ""
        undo: Effect | None = None
        if action == "ProcessComponents":
            note = self._process_components()
            undo = _clients_as_in(before)
        elif action == "RemoveRegistryValues" and self.action is InstallState.ABSENT:
            self.world.machine = before.without_value(ANCHOR_VALUE)
            note, undo = "the anchor's value goes", _anchor_as_in(before)
        elif action == "WriteRegistryValues" and self.action is InstallState.LOCAL:
            self.world.machine = before.with_value(ANCHOR)
            note, undo = "the anchor's value is set", _anchor_as_in(before)
        self.log("script", action, OK, note)
        if undo is not None and self.is_rollback_enabled and self.world.machine != before:
            self.undo.append((action, undo))
        return True

    def _process_components(self) -> str:
        """The product begins or ceases to hold the component."""
        machine = self.world.machine
        is_client = self.product in machine.clients
        if self.wants is InstallState.LOCAL and not is_client:
            self.world.machine = replace(machine, clients=(*machine.clients, self.product))
            return f"{self.product} holds the component"
        if self.wants is InstallState.ABSENT and is_client:
            clients = tuple(client for client in machine.clients if client != self.product)
            self.world.machine = replace(machine, clients=clients)
            return f"{self.product} lets the component go"
        return ""

    def _process(self, data: str) -> bool:
        scenario = self.world.scenario
        result = process(
            self.world.machine,
            data,
            carried_version=self.module.texts[-1],
            faults=scenario.faults,
            session=self.name,
        )
        for step in result.steps:
            self.world.machine = step.machine
            self.log("script", "ProcessWintun", step.outcome, step.note, step.name)
        self.world.machine = result.machine
        outcome, note = (ERROR, f"failed with error {result.error}") if result.error else (OK, "succeeded")
        self.log("script", "ProcessWintun", outcome, note)
        return not result.error

    def _roll_back(self) -> None:
        """Undo, latest first, what ran while rollback was enabled. ProcessWintun is not undone: it has no way back."""
        if not self.undo:
            self.log("rollback", "Rollback", WARNING, "nothing is undone")
        while self.undo:
            action, undo = self.undo.pop()
            self.world.machine = undo(self.world.machine)
            self.log("rollback", action, OK, "undone")


def _clients_as_in(before: Machine) -> Effect:
    return lambda machine: replace(machine, clients=before.clients)


def _anchor_as_in(before: Machine) -> Effect:
    """Puts the anchor's value back to what it was."""
    value = before.value(ANCHOR_VALUE)
    if value is None:
        return lambda machine: machine.without_value(ANCHOR_VALUE)
    return lambda machine: machine.with_value(value)
