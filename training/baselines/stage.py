"""The stage that trains and fits a rival: `run.py baseline NAME`."""

from typing import TypeVar

from ctscreener.encoded import PLAIN
from ctscreener.errors import InputError
from ctscreener.preprocess import PreprocessSettings
from ctscreener.scorer import TiledScorer
from ctscreener.settings import from_json
from training.baselines.folder import FITTED, write_folder
from training.baselines.method import Method, Rival, RivalSettings
from training.baselines.methods import METHODS
from training.data.store import Store
from training.loop import processes
from training.loop.loop import seeded, train
from training.loop.schedule import FREE
from training.loop.settings import claim_run
from training.loop.shared_norm import share_statistics
from training.prepare import PrepareSettings
from training.prepare import main as prepare

S = TypeVar("S", bound=RivalSettings)


def method_of(name: str) -> Method:
    """Find a rival.

    Raises:
        InputError: `baseline.method`.
    """
    if name not in METHODS:
        raise InputError(
            "baseline.method",
            f"Expected the name of a rival, one of {', '.join(METHODS)}; found {name}.",
            "python training/run.py baseline lists them.",
        )
    return METHODS[name]


def listed() -> str:
    """The names of all rivals, one line each."""
    width = max(map(len, METHODS))
    return "\n".join(f"{name:<{width}}  {method.title}" for name, method in METHODS.items())


def main(name: str, settings: RivalSettings) -> bool:
    """Train and fit a rival; the folder `fitted` in its run folder is the result.

    Arguments:
        name: The method.
        settings: All settings, of the class that the method names.

    Returns:
        Whether it is finished; where its minutes were up, it is not.

    Raises:
        InputError: The store, the run folder or a size does not fit.
    """
    method, run = METHODS[name], settings.data.run
    processes.meet()
    if settings.data.scans and processes.is_first():
        prepare(PrepareSettings(settings.data.scans, settings.data.store))
    processes.wait()
    store = settings.data.open()
    settings = method.completed(settings)
    preprocess = from_json(PreprocessSettings, store.preprocess)
    # Before the run folder is claimed, which keeps its settings: a wrong size costs no folder.
    rival = _built(name, settings, preprocess)
    if isinstance(rival, TiledScorer):
        _check_grey(store, preprocess, method.plain(settings))
    claim_run(run, settings, FREE, f"baseline {name}", store.provenance())
    for phase in method.phases(settings, rival, store):
        loop = phase.within(settings.data.seconds)
        share_statistics(phase.task.objective)
        trained = train(phase.task, run / phase.name, loop, f"{name}, {phase.name}")
        if not trained.finished:
            return False
        # The next phase, and what is kept, rest on the averaged weights.
        phase.task.objective.load_state_dict(trained.weights)
    if processes.is_first():
        rival.cpu().eval()
        method.settle(settings, rival, store)
        write_folder(run / FITTED, name, settings, rival, store)
        print(f"baseline: wrote {run / FITTED}, fitted on {len(store.names)} scans")
    processes.wait()
    return True


def _built(name: str, settings: RivalSettings, preprocess: PreprocessSettings) -> Rival:
    """Make a rival that is not fitted.

    Raises:
        InputError: `baseline.sizes`.
    """
    try:
        # Every network of levels calls their channels so.
        channels = getattr(settings, "channels", (1,))
        if not channels or min(channels) < 1:
            raise ValueError(f"--channels {channels} are no levels")
        with seeded(settings.seed):
            return METHODS[name].build(settings, preprocess)
    except ValueError as error:
        raise InputError(
            "baseline.sizes",
            f"Expected sizes that fit one another, found that {error}.",
            f"Use others: training/run.py baseline {name} --help lists them.",
        ) from error


def _check_grey(store: Store, preprocess: PreprocessSettings, plain: bool) -> None:
    """Refuse a store in HU for a rival that sees grey values, and the other way round.

    Raises:
        InputError: `baseline.plain` or `baseline.grey`.
    """
    if plain and preprocess != PLAIN:
        raise InputError(
            "baseline.grey",
            f"Expected HU as the encoder sees them in the store {store.folder}, found others.",
            "Use a store that was prepared with --plain.",
        )
    if not plain and not preprocess.clahe_clip:
        raise InputError(
            "baseline.plain",
            f"Expected grey values in the store {store.folder}, found HU as they are.",
            "Use a store that was prepared without --preprocess.clahe-clip 0.",
        )
