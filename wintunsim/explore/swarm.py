"""The swarm: programs are made up from a seed and explored, and each race that shows is reported once.

A program and its search depend on the seed and the program's number alone, and what is found is taken up in the order
of these numbers. So a swarm says the same for any number of workers; the time that it has only says where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from multiprocessing import get_context

from wintun_model.revision import PROPOSED, Revision
from wintunsim.errors import UsageError
from wintunsim.explore import minimiser
from wintunsim.explore.composing.compose import compose
from wintunsim.explore.composing.text import Composition, parse
from wintunsim.explore.rules import Rules
from wintunsim.explore.scenario import MEMORIES, Setting
from wintunsim.explore.schedule import decode, encode
from wintunsim.explore.search import Budget, Outcome, Verdict
from wintunsim.explore.signature import Signature, signature_of
from wintunsim.explore.strategies.exhaustive import exhaustive
from wintunsim.explore.strategies.pct import pct
from wintunsim.explore.swarm_programs import make_up, smaller
from wintunsim.explore.violation import Violation

EXECUTIONS = 1024
"""How many executions of a program the exhaustive search looks at before it gives up."""
SAMPLES = 160
"""How many are sampled then, whatever was found: a race that is easy to meet may hide others."""
SHORTENING_STATES = 5000
"""How many states are looked at for an execution with fewer preemptions."""
ATTEMPTS_MAX = 60
"""How many smaller programs are tried when one is minimised."""
MEMORIES_IN_TURN = ("tso", "tso", "tso", "sc")
"""The memory models of programs one after the other: most races show on x86-TSO too."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A race in a program: the first execution that showed it."""

    program: str
    memory: str
    signature: Signature
    what: str
    schedule: str


@dataclass(frozen=True, slots=True)
class Race:
    """A race as it is reported: in the smallest program, with what closes it.

    `number` is that of the program that it was first seen in, `first` its text. `goes_away` names changes with each
    of which the same search of the small program finds nothing. Where there is none, it takes several: `goes_away` are
    those of them with each of which this race is gone, `with_others` those that the program's other races need, or,
    when `goes_away` is empty, those that it takes together.
    """

    number: int
    first: str
    finding: Finding
    goes_away: tuple[str, ...]
    with_others: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """Races are the same when this is."""
        signature = self.finding.signature
        if changes := self.goes_away or self.with_others:
            return signature.broken, changes
        return signature.broken, signature.breaks, signature.freed


@dataclass(slots=True)
class Swarm:
    """What a swarm found: so many programs, their executions, and the races in the order of their programs."""

    revision: Revision
    seed: int
    programs: int = 0
    proved: int = 0
    """Programs that were looked at whole and are safe."""
    executions: int = 0
    operations: int = 0
    seconds: float = 0.0
    races: list[Race] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Report:
    """One program, explored."""

    number: int
    program: str
    is_proved: bool
    executions: int
    operations: int
    findings: tuple[Finding, ...]


# -- one program ------------------------------------------------------------------------------------------------------


def memory_of(number: int, memories: tuple[str, ...]) -> str:
    """The memory model under which a program is explored: they take turns."""
    return memories[number % len(memories)]


def explore_made_up(seed: int, number: int, setting: Setting, memories: tuple[str, ...]) -> _Report:
    """Make up a program and explore it."""
    composition = make_up(seed, number)
    setting = replace(setting, memory=memory_of(number, memories))
    found, outcomes = search_program(composition, setting, seed=number)
    return _Report(
        number,
        str(composition),
        outcomes[0].verdict is Verdict.SAFE,
        sum(outcome.executions for outcome in outcomes),
        sum(outcome.operations for outcome in outcomes),
        tuple(found),
    )


def search_program(
    composition: Composition,
    setting: Setting,
    *,
    seed: int = 0,
    wanted: Signature | None = None,
    is_small: bool = False,
) -> tuple[list[Finding], list[Outcome]]:
    """The races of a program, each once: those that an exhaustive search and samples meet.

    With `wanted`, only that one. When `is_small`, no more is done than is needed to find one.
    """
    world = compose(composition).build(setting)
    machine, start = world.machine, world.start()
    executions, samples = (EXECUTIONS // 4, SAMPLES // 2) if is_small else (EXECUTIONS, SAMPLES)
    findings: dict[Signature, Finding] = {}
    seen: set[tuple[object, str]] = set()

    def note(outcome: Outcome) -> None:
        violation = outcome.violation
        if violation is None or (key := (violation.property, violation.what)) in seen:
            return
        seen.add(key)
        signature = signature_of(machine, start, outcome.schedule, violation)
        if signature not in findings and (wanted is None or _is_alike(signature, wanted)):
            text = encode(machine, start, outcome.schedule)
            findings[signature] = Finding(str(composition), setting.memory, signature, violation.what, text)

    outcomes = [exhaustive(machine, start, Budget(executions=executions))]
    note(outcomes[0])
    first = 0
    while first < samples and outcomes[0].verdict is not Verdict.SAFE and not (is_small and findings):
        outcome = pct(machine, start, Budget(executions=samples - first), seed=seed, first=first)
        outcomes.append(outcome)
        first += outcome.executions
        note(outcome)
    return list(findings.values()), outcomes


def _is_alike(one: Signature, other: Signature) -> bool:
    """Whether the same property breaks at the same place; against what may change as a program gets smaller."""
    return (one.broken, one.breaks, one.freed) == (other.broken, other.breaks, other.freed)


# -- one race ---------------------------------------------------------------------------------------------------------


def minimise(number: int, finding: Finding, setting: Setting) -> Race:
    """Take away from a program what its race does not need, and find out with what it goes away."""
    best, memory = finding, finding.memory
    setting = replace(setting, memory=memory)
    if memory != "sc" and (in_order := _again(parse(best.program), replace(setting, memory="sc"), finding)):
        best, setting = in_order, replace(setting, memory="sc")
    attempts, place = 0, 0
    while attempts < ATTEMPTS_MAX:
        candidate = next(islice(smaller(parse(best.program)), place, None), None)
        if candidate is None:
            break
        attempts += 1
        less = _again(candidate, setting, finding)
        # What stands before this place was in vain, and mostly is so still.
        best, place = (best, place + 1) if less is None else (less, place)
    best = _shortest(best, setting)
    composition = parse(best.program)
    if alone := tuple(_closers(composition, setting)):
        return Race(number, finding.program, best, alone)
    together = _together(composition, setting)
    this = tuple(name for name in together if _is_gone(composition, setting, name, best.signature))
    return Race(number, finding.program, best, this, tuple(name for name in together if name not in this))


def _shortest(finding: Finding, setting: Setting) -> Finding:
    """The same race in an execution with fewer preemptions and steps, if there is one."""
    world = compose(finding.program).build(setting)
    machine, start = world.machine, world.start()
    path: list[int] = []
    try:
        for transition, state in decode(machine, start, finding.schedule):
            path.append(transition)
            machine.apply(state, transition)
        machine.check_end(state)
    except Violation as violation:
        path, violation = minimiser.minimise(machine, start, violation, path, Budget(executions=SHORTENING_STATES))
        signature = signature_of(machine, start, path, violation)
        if _is_alike(signature, finding.signature):
            schedule = encode(machine, start, path)
            return replace(finding, signature=signature, what=violation.what, schedule=schedule)
    return finding


def _again(composition: Composition, setting: Setting, finding: Finding) -> Finding | None:
    """The same race in a smaller program, if it is there."""
    try:
        found, _ = search_program(composition, setting, wanted=finding.signature, is_small=True)
    except UsageError:
        return None
    return found[0] if found else None


def _closers(composition: Composition, setting: Setting) -> Iterator[str]:
    """The changes with each of which alone the search of a program finds nothing."""
    for name, changed, program in _changes(composition, setting):
        if not search_program(program, changed, is_small=True)[0]:
            yield name


def _together(composition: Composition, setting: Setting) -> tuple[str, ...]:
    """The fewest switches of the proposed revision, no one to spare, with which together nothing is found; () for none.

    A program may show several races, each with a change of its own.
    """
    left = {name: value for name, value in PROPOSED.switches().items() if getattr(setting.revision, name) != value}
    if search_program(composition, setting.with_switches(**left), is_small=True)[0]:
        return ()
    for name in [*left]:
        fewer = {other: value for other, value in left.items() if other != name}
        if not search_program(composition, setting.with_switches(**fewer), is_small=True)[0]:
            left = fewer
    return tuple(left)


def _is_gone(composition: Composition, setting: Setting, name: str, signature: Signature) -> bool:
    """Whether one change is enough for this race, whatever else the program shows."""
    changed = setting.with_switches(**{name: PROPOSED.switches()[name]})
    return not search_program(composition, changed, wanted=signature)[0]


def _changes(composition: Composition, setting: Setting) -> Iterator[tuple[str, Setting, Composition]]:
    with_barrier = replace(composition, options=replace(composition.options, barrier=True))
    revision, rules = setting.revision, setting.rules
    for name, value in PROPOSED.switches().items():
        if getattr(revision, name) != value:
            changed = setting.with_switches(**{name: value})
            yield name, changed, composition
            if name == "has_full_barrier" and not composition.options.barrier:
                yield f"{name} and the client's barrier", changed, with_barrier
    if not composition.options.barrier:
        yield "the client's barrier", setting, with_barrier
    if setting.memory != "sc":
        yield "sequentially consistent memory", replace(setting, memory="sc"), composition
    for name in ("halt_waits_for_returns", "halt_waits_for_send_calls", "returns_are_serialised"):
        if not getattr(rules, name):
            yield f"assuming {name}", replace(setting, rules=rules.with_changes(assume=[name])), composition
    if rules.stack_sends_inside:
        changed = replace(setting, rules=rules.with_changes(deny=["stack_sends_inside"]))
        yield "denying stack_sends_inside", changed, composition


# -- all of them ------------------------------------------------------------------------------------------------------

Progress = Callable[[Swarm], None]


def swarm(
    revision: Revision,
    *,
    seed: int = 0,
    budget_s: float | None = None,
    programs: int | None = None,
    workers: int = 1,
    memories: tuple[str, ...] | None = None,
    rules: Rules | None = None,
    progress: Progress | None = None,
) -> Swarm:
    """Make up programs and explore them, until so many seconds have passed or so many programs are done.

    `memories` are the memory models that programs take turns with (default: `MEMORIES_IN_TURN`).

    UsageError when neither bound is given, or a bound is none.
    """
    if budget_s is None and programs is None:
        raise UsageError("a swarm needs a bound: give it a time or a number of programs")
    for name, value in (("the budget", budget_s), ("the number of programs", programs), ("workers", workers)):
        if value is not None and value <= 0:
            raise UsageError(f"{name} is {value}: give more than 0")
    memories = memories or MEMORIES_IN_TURN
    if unknown := [memory for memory in memories if memory not in MEMORIES]:
        raise UsageError(f"there is no memory model {unknown[0]!r}: choose among {', '.join(MEMORIES)}")
    setting = Setting(revision=revision, rules=rules or Rules())
    result = Swarm(revision, seed)
    clock = Budget(seconds=budget_s)
    clock.begin()
    with _pool(workers) as submit:
        _run(result, setting, programs, memories, clock, workers, submit, progress)
    result.seconds = clock.elapsed_s()
    return result


Submit = Callable[..., "Future[object]"]


def _run(
    result: Swarm,
    setting: Setting,
    programs: int | None,
    memories: tuple[str, ...],
    clock: Budget,
    workers: int,
    submit: Submit,
    progress: Progress | None,
) -> None:
    """Keep the workers busy; take up what they find in the order of the programs' numbers."""
    ahead = 1 if workers == 1 else 4 * workers
    waiting: list[Future[object]] = []
    small: list[Future[object]] = []
    seen: set[Signature] = set()
    following = 0
    while True:
        while len(waiting) < ahead and following != programs and not clock.is_spent(0):
            waiting.append(submit(explore_made_up, result.seed, following, setting, memories))
            following += 1
        if not waiting:
            break
        report = waiting.pop(0).result()
        assert isinstance(report, _Report)
        result.programs += 1
        result.proved += report.is_proved
        result.executions += report.executions
        result.operations += report.operations
        for finding in report.findings:
            if finding.signature not in seen:
                seen.add(finding.signature)
                small.append(submit(minimise, report.number, finding, setting))
        _take_races(result, small, only_done=True)
        result.seconds = clock.elapsed_s()
        if progress is not None:
            progress(result)
    _take_races(result, small, only_done=False)


def _take_races(result: Swarm, small: list[Future[object]], *, only_done: bool) -> None:
    """Take up races in order, each once."""
    known = {race.key for race in result.races}
    while small and (not only_done or small[0].done()):
        race = small.pop(0).result()
        assert isinstance(race, Race)
        if race.key not in known:
            known.add(race.key)
            result.races.append(race)


class _AtOnce(Future[object]):
    """A task that is done by the time that it is there."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        super().__init__()
        self.set_result(function(*arguments))


@contextmanager
def _pool(workers: int) -> Iterator[Submit]:
    """Where tasks are done: in this process for one worker, else in so many."""
    if workers == 1:
        yield _AtOnce
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield pool.submit
