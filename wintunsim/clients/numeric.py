"""numpy in a simulated process: the host's, which can be loaded only once, but for generators that nobody seeded."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


class SharedNumpy(ModuleType):
    """``numpy`` with a ``random`` of the process's own."""

    def __init__(self, host: ModuleType, random: ModuleType) -> None:
        super().__init__("numpy")
        self.__dict__.update({name: value for name, value in vars(host).items() if name != "random"})
        self.__dict__.update(random=random, _host=host)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_host"], name)


def make_numpy_module(client: ClientProcess) -> ModuleType:
    """The facade of ``numpy``. Raises ModuleNotFoundError when the host has none."""
    host = importlib.import_module("numpy")
    random = make_random_module(client, importlib.import_module("numpy.random"))
    client.importer.modules["numpy.random"] = random
    return SharedNumpy(host, random)


def make_random_module(client: ClientProcess, host: Any) -> ModuleType:
    """``numpy.random`` whose unseeded generators are seeded by the simulation."""
    entropy = client.entropy

    def seeded(name: str) -> type:
        base = getattr(host, name)

        def __init__(self: Any, seed: Any = None) -> None:  # noqa: N807
            base.__init__(self, entropy.bits(128) if seed is None else seed)

        return type(name, (base,), {"__init__": __init__, "__module__": "numpy.random"})

    class RandomState(host.RandomState):  # type: ignore[misc]
        def __init__(self, seed: Any = None) -> None:
            super().__init__(entropy.bits(32) if seed is None else seed)

        def seed(self, seed: Any = None) -> None:
            super().seed(entropy.bits(32) if seed is None else seed)

    class SeedSequence(host.SeedSequence):  # type: ignore[misc]
        def __init__(self, entropy_value: Any = None, **options: Any) -> None:
            value = options.pop("entropy", entropy_value)
            super().__init__(entropy.bits(128) if value is None else value, **options)

    def default_rng(seed: Any = None) -> Any:
        return host.default_rng(entropy.bits(128) if seed is None else seed)

    module = ModuleType("numpy.random")
    contents = module.__dict__
    contents.update({name: value for name, value in vars(host).items() if not name.startswith("__")})
    state = RandomState()
    for name in host.__all__:
        if hasattr(state, name) and callable(getattr(state, name)) and not isinstance(getattr(host, name), type):
            contents[name] = getattr(state, name)
    contents.update({name: seeded(name) for name in _BIT_GENERATORS if hasattr(host, name)})
    contents.update(
        RandomState=RandomState, SeedSequence=SeedSequence, default_rng=default_rng, _rand=state, seed=state.seed,
        __all__=list(host.__all__), __path__=list(host.__path__),
    )  # fmt: skip
    return module
