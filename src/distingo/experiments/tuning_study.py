"""The search spaces, and the trials of one stage in Optuna's storage, in an order that the seed decides.

A space is that of its kind of training, narrowed to the recipe, the data and the options that are set. The sampler is
the tree-structured Parzen estimator (Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011), made anew for
every trial with a seed of its own, so that a search that was killed tries the same recipes as one that was not. Trials
are pruned by the median rule (Golovin et al., Google Vizier, 2017): worse after an epoch than half of the others were
by then.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from distingo.errors import ResourceError, UsageError, option
from distingo.experiments.tuning_records import Dimension, LogRange, Options, StageName, Trial, Value
from distingo.models.catalog import find_model
from distingo.records import Task
from distingo.training.defaults import FINE_TUNED_HEADS
from distingo.training.recipe import Mode, Recipe

_LR_FACTOR = 10.0
"""The learning rate is searched this far below and above the default."""

_SMALLEST_PHOTO = 65
"""Sides from which on other image sizes are tried: smaller images are seen as they are."""

_BATCHES = 4
"""An epoch has at least so many steps."""


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """What one kind of training is searched over.

    Attributes:
        stage: Which trials it is for.
        dimensions: In the order in which the page lists them.
    """

    stage: StageName
    dimensions: tuple[Dimension, ...]


HEAD_SPACE = SearchSpace(
    "head",
    (
        Options("views", ("none", "flip", "crops")),
        Options("head", ("linear", "linear-svm", "prototype", "knn")),
        Options("class_weights", ("none", "balanced")),
        Options("positive_weights", ("none", "balanced")),
    ),
)
"""A solved head: 24 combinations, tried one after another; its regularization or neighbors are chosen within each."""

FINETUNE_SPACE = SearchSpace(
    "training",
    (
        LogRange("lr", 1e-4, 1e-2),
        Options("weight_decay", (0.0, 0.01, 0.05, 0.2)),
        Options("layer_decay", (0.65, 0.75, 0.85, 0.95, 1.0)),
        Options("augment", ("none", "light", "standard", "overhead")),
        Options("label_smoothing", (0.0, 0.05, 0.1, 0.2)),
        Options("schedule", ("constant", "cosine", "one-cycle")),
        Options("ema_decay", (0.0, 0.9, 0.99, 0.998)),
        Options("batch_size", (16, 32, 64)),
        Options("batch_norm", ("frozen", "updated")),
    ),
)
"""Fine-tuning resumes from the best head; its head, views and class weights are that one's."""

SCRATCH_SPACE = SearchSpace(
    "training",
    (
        LogRange("lr", 1e-4, 1e-2),
        Options("weight_decay", (0.0, 0.005, 0.05, 0.2)),
        Options("augment", ("none", "light", "standard", "overhead")),
        Options("image_size", (96, 128, 160)),
        Options("dropout", (None, 0.2, 0.4, 0.6)),
        Options("label_smoothing", (0.0, 0.05, 0.1, 0.2)),
        Options("schedule", ("constant", "cosine", "one-cycle")),
        Options("ema_decay", (0.0, 0.9, 0.99, 0.998)),
        Options("batch_size", (16, 32, 64, 128)),
        Options("normalize", ("none", "dataset", "sample")),
        Options("class_weights", ("none", "balanced")),
        Options("positive_weights", ("none", "balanced")),
    ),
)
"""Networks from scratch. Epochs, optimizer and loss are the recipe's: trials stay comparable epoch by epoch."""

SPACES: dict[Mode, SearchSpace] = {"frozen": HEAD_SPACE, "finetune": FINETUNE_SPACE, "scratch": SCRATCH_SPACE}


def narrow(
    space: SearchSpace,
    recipe: Recipe,
    *,
    requested: Collection[str],
    task: Task,
    train: int,
    for_finetune: bool = False,
) -> SearchSpace:
    """A space for one search: without what is requested or means nothing here, and with the default inside.

    Args:
        space: One of `SPACES`.
        recipe: The default of that mode.
        requested: Fields that the user set, which are not searched.
        task: Single-label or multi-label.
        train: How many training images there are.
        for_finetune: Whether fine-tuning must be able to resume from every head.
    """
    left_out = {*requested, *_meaningless(recipe, task)}
    if "height" in requested or recipe.height != recipe.width:
        left_out.add("image_size")
    remaining = [dimension for dimension in space.dimensions if dimension.name not in left_out]
    around = [_around(dimension, recipe, train, for_finetune=for_finetune) for dimension in remaining]
    return SearchSpace(space.stage, tuple(entry for entry in around if isinstance(entry, LogRange) or entry.values[1:]))


def default_values(space: SearchSpace, recipe: Recipe) -> dict[str, Value]:
    """Return a recipe's values of the fields of a search space."""
    return {dimension.name: default_value(dimension.name, recipe) for dimension in space.dimensions}


def default_value(name: str, recipe: Recipe) -> Value:
    """Return a recipe's value of a searched field; ``image_size`` is the side of its square images."""
    return recipe.height if name == "image_size" else cast(Value, getattr(recipe, name))


def _meaningless(recipe: Recipe, task: Task) -> set[str]:
    names = {"class_weights", "label_smoothing"} if task == "multi-label" else {"positive_weights"}
    entry = find_model(recipe.model)
    if entry.kind == "pretrained":
        names |= {"image_size", "normalize"}
    if entry.image_size is not None or recipe.height < _SMALLEST_PHOTO:
        names.add("image_size")
    return names


def _around(dimension: Dimension, recipe: Recipe, train: int, *, for_finetune: bool) -> Dimension:
    default = default_value(dimension.name, recipe)
    if isinstance(dimension, LogRange):
        assert isinstance(default, float | int)
        return LogRange(dimension.name, default / _LR_FACTOR, default * _LR_FACTOR)
    values = dimension.values
    if dimension.name == "batch_size":
        values = tuple(value for value in values if isinstance(value, int) and value * _BATCHES <= train)
    if dimension.name == "head" and for_finetune:
        values = FINE_TUNED_HEADS
    if default not in values:
        values = (*values, default)
    return Options(dimension.name, values)


_RANDOM_TRIALS = 8
"""Number of random trials before the sampler uses results."""

_TRIALS_TO_COMPARE = 4
"""Number of complete trials before others can be pruned."""

_ENOUGH_TO_EXPLAIN = 6
"""Smallest number of complete trials for computing importances."""


def require_optuna() -> Any:
    """Optuna, with its own messages switched off.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UsageError(
            'searching for a recipe needs Optuna: `pip install "distingo[tune]"`', code="missing_extra"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Study:
    """One stage's trials.

    Args:
        storage: The SQLite file.
        space: What is searched.
        default: The default recipe's values, tried first.
        seed: Of the sampler.
        epochs: Of a trial, or 0 where there are none.
    """

    def __init__(self, storage: Path, space: SearchSpace, default: dict[str, Value], *, seed: int, epochs: int) -> None:
        self._optuna = require_optuna()
        self.space = space
        self._seed = seed
        self._study = _open(self._optuna, storage, space.stage, epochs)
        self._distributions = {dimension.name: _distribution(self._optuna, dimension) for dimension in space.dimensions}
        self._postpone_running_trials()
        if not self._study.trials:
            self._study.enqueue_trial(default, user_attrs={"default": True})

    @property
    def has_begun(self) -> bool:
        """Whether a trial was finished."""
        return bool(self._finished)

    @property
    def _finished(self) -> list[Any]:
        states = self._optuna.trial.TrialState
        return list(self._study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)))

    @property
    def seconds(self) -> float:
        """Duration of all trials, including the recorded part of interrupted ones."""
        return float(sum(trial.user_attrs.get("seconds", 0.0) for trial in self._study.get_trials(deepcopy=False)))

    def remember(self, name: str, value: Any) -> Any:
        """Store a value with the study unless it exists, and return the stored value."""
        if name not in self._study.user_attrs:
            self._study.set_user_attr(name, value)
        return self._study.user_attrs[name]

    def recalled(self, name: str) -> Any:
        """Return the value that `remember` stored, or None."""
        return self._study.user_attrs.get(name)

    def ask(self) -> Any:
        """Return the next Optuna trial, or None if all combinations of a space without ranges were tried."""
        done = len(self._finished)
        self._study.sampler = self._optuna.samplers.TPESampler(
            seed=(self._seed * 100_003 + done) % 2**32, n_startup_trials=_RANDOM_TRIALS
        )
        waiting = self._study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.WAITING,))
        if not waiting and not any(isinstance(dimension, LogRange) for dimension in self.space.dimensions):
            following = self._next_combination()
            if following is None:
                return None
            self._study.enqueue_trial(following)
        return self._study.ask(self._distributions)

    def finish(
        self, trial: Any, score: float | None, *, seconds: float, loss: float | None = None, reason: str = ""
    ) -> None:
        """End a trial.

        Args:
            trial: Trial that `ask` returned.
            score: Score of the trial; None if it was pruned or failed.
            seconds: Duration of the trial.
            loss: Validation loss.
            reason: Reason of a failure.
        """
        for name, value in {"seconds": seconds, "loss": loss, "reason": reason}.items():
            trial.set_user_attr(name, value)
        states = self._optuna.trial.TrialState
        self._study.tell(trial, score, state=states.PRUNED if score is None else states.COMPLETE)

    def postpone(self, trial: Any, *, seconds: float) -> None:
        """End a trial without a result; its values are tried again next."""
        trial.set_user_attr("seconds", seconds)
        self._postpone(trial.number)

    def trials(self, *, before: int) -> tuple[Trial, ...]:
        """All finished trials.

        Args:
            before: Number of trials in earlier stages.
        """
        return tuple(self._read(trial, before + index) for index, trial in enumerate(self._finished, start=1))

    def importances(self) -> dict[str, float]:
        """Return the fraction of the scores' variance that each field explains (fANOVA, Hutter et al., 2014)."""
        states = self._optuna.trial.TrialState
        complete = self._study.get_trials(deepcopy=False, states=(states.COMPLETE,))
        if len(complete) < _ENOUGH_TO_EXPLAIN or len({trial.value for trial in complete}) < 2:
            return {}
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        found = self._optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return {name: float(share) for name, share in found.items()}

    def _postpone_running_trials(self) -> None:
        """Put off the trials of a killed process; the folder's lock ensures that no other process is running."""
        for trial in self._study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.RUNNING,)):
            self._postpone(trial.number)

    def _postpone(self, number: int) -> None:
        trial = self._study.get_trials(deepcopy=False)[number]
        # queued first: a kill between the two repeats a trial, and never loses one
        attributes = {"default": True} if trial.user_attrs.get("default") else {}
        if len(trial.params) == len(self._distributions):
            self._study.enqueue_trial(trial.params, user_attrs=attributes)
        elif attributes:
            self._study.enqueue_trial(trial.system_attrs.get("fixed_params", {}), user_attrs=attributes)
        self._study.tell(number, state=self._optuna.trial.TrialState.FAIL)

    def _next_combination(self) -> dict[str, Value] | None:
        """Return the first untried combination; the values of the first dimension vary slowest."""
        names = [dimension.name for dimension in self.space.dimensions]
        values = [dimension.values for dimension in self.space.dimensions if isinstance(dimension, Options)]
        tried = [trial.params for trial in self._finished]
        combinations = (dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values))
        return next((combination for combination in combinations if combination not in tried), None)

    def _read(self, trial: Any, number: int) -> Trial:
        attributes, curve = trial.user_attrs, tuple(trial.intermediate_values.values())
        complete = trial.state == self._optuna.trial.TrialState.COMPLETE
        return Trial(
            number=number,
            stage=self.space.stage,
            values=dict(trial.params),
            state="complete" if complete else "failed" if attributes.get("reason") else "pruned",
            score=trial.value if complete else max(curve, default=None),
            loss=attributes.get("loss"),
            curve=curve,
            seconds=attributes.get("seconds", 0.0),
            is_default=bool(attributes.get("default")),
            reason=attributes.get("reason", ""),
        )


def _open(optuna: Any, storage: Path, name: str, epochs: int) -> Any:
    pruner = optuna.pruners.MedianPruner(
        n_startup_trials=_TRIALS_TO_COMPARE,
        n_warmup_steps=max(1, epochs // 4),  # early epochs, with a high learning rate, are little informative
    )
    try:
        return optuna.create_study(
            storage=f"sqlite:///{storage}", study_name=name, direction="maximize", load_if_exists=True, pruner=pruner
        )
    except Exception as error:
        if "sqlalchemy" in type(error).__module__ or isinstance(error, OSError | RuntimeError):
            raise ResourceError(
                f"{storage}: can't be opened ({error}); choose another {option('output')}".replace("\n", " "),
                code="cannot_read",
                parameter="output",
            ) from error
        raise


def _distribution(optuna: Any, dimension: Options | LogRange) -> Any:
    if isinstance(dimension, LogRange):
        return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=True)
    return optuna.distributions.CategoricalDistribution(dimension.values)
