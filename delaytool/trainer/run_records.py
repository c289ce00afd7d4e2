"""What the small files of a run may hold: type, range and shape of every value that something reads.

They are checked where they are read (`RunFolder`), so that figures, tables, TensorBoard and a resumed run can rely on
them. A digest does not replace that: files of earlier versions have none. Keys that are not named here are let through,
because later versions may write more; their numbers must be some that TensorBoard can hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, TypeAdapter, ValidationError, model_validator

from delaytool.errors import CheckpointError
from delaytool.printable import printable

Record = TypeVar("Record")

LARGEST = 3.4e38  # what a float of 32 bits, which TensorBoard keeps, can hold
LONGEST_SHOWN = 60


def _loss(value: float) -> float:
    """A loss may be infinite or NaN, where a validation went wrong."""
    if math.isfinite(value) and abs(value) > LARGEST:
        raise ValueError(f"a loss is at most {LARGEST:g}")
    return value


Count = Annotated[int, Strict(), Field(ge=0, lt=2**63)]
Epoch = Annotated[int, Strict(), Field(ge=1, lt=2**31)]
Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Amount = Annotated[float, Strict(), Field(ge=0, le=LARGEST)]
Number = Annotated[float, Strict(), Field(ge=-LARGEST, le=LARGEST)]
Points = Annotated[float, Strict(), Field(ge=-100, le=100)]
Loss = Annotated[float, Strict(), AfterValidator(_loss)]
Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]


class _Record(BaseModel):
    """A JSON object with at least these keys, each as it says."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="after")
    def _check_the_rest(self) -> _Record:
        for name, value in (self.model_extra or {}).items():
            if not _is_sound(value):
                raise ValueError(f"{printable(name)[:LONGEST_SHOWN]} holds a number beyond {LARGEST:g}")
        return self


def _is_sound(value: Any) -> bool:
    """Whether no number in it is larger than a float of 32 bits; infinity and NaN are floats of 32 bits, too."""
    if isinstance(value, float):
        return not math.isfinite(value) or abs(value) <= LARGEST
    if isinstance(value, int):
        return abs(value) <= LARGEST
    if isinstance(value, Mapping):
        return all(map(_is_sound, value.values()))
    return all(map(_is_sound, value)) if isinstance(value, list) else True


def _flat(value: Any) -> Any:
    if isinstance(value, (list, Mapping)):
        raise ValueError("values are texts, numbers or null")
    return value


class EpochMetrics(_Record):
    """A line of metrics.jsonl. Dictionaries are by layer."""

    epoch: Epoch
    train_loss: Loss
    train_accuracy: Share
    validation_loss: Loss | None
    validation_accuracy: Share | None
    sigma: Amount | None
    delay_moved: dict[Text, Amount] = Field(min_length=1)
    test_loss: Loss | None = None
    test_accuracy: Share | None = None
    can_be_chosen: Flag = True
    quantized_for: Text | None = None
    in_integers: Flag = False
    averaged_epochs: Count = 0
    lr: Amount = 0.0
    delay_lr: Amount = 0.0
    rate_penalty: Number = 0.0
    convolution: dict[Text, Text] = {}
    grown: dict[Text, Count] = {}
    delay_histogram: dict[Text, Annotated[list[Count], Field(min_length=1)]] = {}
    tau: dict[Text, Number] = {}
    spikes: dict[Text, Amount] = {}
    seconds: Amount = 0.0

    @model_validator(mode="after")
    def _has_its_pairs(self) -> EpochMetrics:
        for part in ("validation", "test"):
            loss, accuracy = getattr(self, f"{part}_loss"), getattr(self, f"{part}_accuracy")
            if (loss is None) != (accuracy is None):
                raise ValueError(f"{part}_loss and {part}_accuracy are known both or neither")
        if self.delay_histogram and self.delay_histogram.keys() != self.delay_moved.keys():
            raise ValueError("delay_histogram and delay_moved are of the same layers")
        return self


class Fold(_Record):
    fold: Count
    held_out: Text
    samples: Annotated[Count, Field(ge=1)]
    best_epoch: Epoch
    accuracy: Share
    accuracy_at_chosen: Share


class FoldsRecord(_Record):
    """folds.json, and what a summary keeps of it."""

    folds: list[Fold] = Field(min_length=1)
    mean_accuracy: list[Share] = Field(min_length=1)
    mean_loss: list[Loss] = Field(min_length=1)
    chosen_epoch: Epoch
    accuracy: Share
    standard_error: Share

    @model_validator(mode="after")
    def _epochs_are_there(self) -> FoldsRecord:
        epochs = len(self.mean_accuracy)
        if len(self.mean_loss) != epochs or max(self.chosen_epoch, *(fold.best_epoch for fold in self.folds)) > epochs:
            raise ValueError(f"its epochs are not all among the {epochs} of mean_accuracy")
        return self


class FoldCurve(_Record):
    accuracy: list[Share] = Field(min_length=1)
    loss: list[Loss]
    can_be_chosen: list[Flag]

    @model_validator(mode="after")
    def _has_equal_lengths(self) -> FoldCurve:
        if not len(self.accuracy) == len(self.loss) == len(self.can_be_chosen):
            raise ValueError("its lists have different lengths")
        return self


class HeldOut(_Record):
    samples: Count
    of: Count
    speakers: Count | None = None


class DataSizes(_Record):
    n_units: Annotated[Count, Field(ge=1)]
    n_classes: Annotated[Count, Field(ge=1)]
    n_steps: Annotated[Count, Field(ge=1)] | None = None
    max_payload: Annotated[Count, Field(ge=1)] | None = None


class DataDigests(_Record):
    """SHA-256 of how the data became frames, and of the test part's frames and labels."""

    encoding: Text
    test: Text


class PartDigests(_Record):
    """folds/data.json: SHA-256 of the frames and labels of each part, by the part's name."""

    __pydantic_extra__: dict[str, Text]


class Summary(_Record):
    """summary.json. A fold has `fold_curve` and was not tested; any other run has the accuracies of its test."""

    name: Text
    epochs: Epoch
    best_epoch: Epoch
    protocol: Text
    split: Text
    validation_accuracy: Share | None
    validation_samples: Count
    parameters: Count
    spikes: dict[Text, Amount]
    synapses: Count = 0
    last_epoch: Epoch | None = None
    stopped_after: Epoch | None = None
    averaged_epochs: Count = 0
    test_accuracy_as_trained: Share | None = None
    test_accuracy_rounded: Share | None = None
    test_samples: Annotated[Count, Field(ge=1)] | None = None
    test_accuracy_last_epochs: Share | None = None
    last_epochs: Epoch | None = None
    test_accuracy_best_on_test: Share | None = None
    best_on_test_epoch: Epoch | None = None
    fold_curve: FoldCurve | None = None
    held_out: HeldOut | None = None
    cross_validation: FoldsRecord | None = None
    data: DataSizes | None = None
    data_sha256: DataDigests | None = None
    quantized_for: Text | None = None
    warnings: list[Text] = []

    @model_validator(mode="after")
    def _is_whole(self) -> Summary:
        tested = (self.test_accuracy_as_trained, self.test_accuracy_rounded, self.test_samples)
        in_every_epoch = (
            self.test_accuracy_last_epochs,
            self.last_epochs,
            self.test_accuracy_best_on_test,
            self.best_on_test_epoch,
        )
        if self.fold_curve is not None:
            if self.validation_accuracy is None or self.best_epoch > len(self.fold_curve.accuracy):
                raise ValueError("of a fold the validation accuracy, or the best epoch in its curve, is missing")
        elif None in tested:
            raise ValueError("the accuracies of the test, or test_samples, are missing")
        if 0 < in_every_epoch.count(None) < len(in_every_epoch):
            raise ValueError("of the accuracies on test in every epoch some are missing")
        given = self.model_fields_set
        empty = [name for name in given if name in _NEVER_NONE and getattr(self, name) is None]
        if empty:
            raise ValueError(f"{empty[0]} is None")
        return self


# Keys of a summary that are left out where there is nothing to say, and are never null.
_NEVER_NONE = {
    name for name, field in Summary.model_fields.items() if not field.is_required() and field.default is None
}


class Environment(_Record):
    """environment.json: versions and numbers by name, nothing nested."""

    __pydantic_extra__: dict[str, Annotated[Any, AfterValidator(_flat)]]

    seed: Annotated[int, Strict(), Field(ge=-(2**63), lt=2**64)] = 0
    threads: Count = 0
    cuda: Text | None = None
    delaytool: Text = ""
    python: Text = ""
    torch: Text = ""
    numpy: Text = ""
    machine: Text = ""
    system: Text = ""


class ClassNames(_Record):
    """class_names.json: one for each class."""

    class_names: list[Text] = Field(min_length=1)


def check_record(kind: type[Record], values: Mapping[str, Any], place: object, way_out: str) -> Record:
    """The values as a `kind`: a record of this file, or a dataclass. Raises CheckpointError, which names the value."""
    try:
        return _adapter(cast(Any, kind)).validate_python(values)
    except ValidationError as error:
        raise CheckpointError(f"{place}: {_explained(error)}; {way_out}") from None
    except RecursionError:
        raise CheckpointError(f"{place}: its values are nested too deeply; {way_out}") from None


def check_metrics(lines: Sequence[Mapping[str, Any]], place: object, way_out: str) -> None:
    """Raise CheckpointError where an epoch's line is not sound, or two do not belong to one run.

    All lines have the same layers; a layer's histograms have the same length.
    """
    first: EpochMetrics | None = None
    lengths: dict[str, int] = {}
    for number, values in enumerate(lines, 1):
        line = check_record(EpochMetrics, values, f"{place}, line {number}", way_out)
        first = first or line
        if line.delay_moved.keys() != first.delay_moved.keys():
            raise CheckpointError(f"{place}, line {number}: its layers are not those of the first line; {way_out}")
        if (line.validation_accuracy is None) != (first.validation_accuracy is None):
            raise CheckpointError(f"{place}, line {number}: validated, or not, unlike the first line; {way_out}")
        for name, counts in line.delay_histogram.items():
            if len(counts) != lengths.setdefault(name, len(counts)):
                raise CheckpointError(
                    f"{place}, line {number}: delay_histogram of {printable(name)[:LONGEST_SHOWN]} has {len(counts)} "
                    f"delays, another line has {lengths[name]}; {way_out}"
                )


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _explained(error: ValidationError) -> str:
    """The first error in words: which key, what it holds, what it should hold."""
    first = error.errors(include_url=False)[0]
    name = printable(".".join(map(str, first["loc"])))[:LONGEST_SHOWN]
    if first["type"] == "missing":
        return f"lacks {name!r}"
    wrong = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error" and not isinstance(first["input"], (int, float, str)):
        return f"{name}: {wrong}" if name else wrong
    return f"{name} is {printable(first['input'])[:LONGEST_SHOWN]}, which cannot be ({wrong[:1].lower()}{wrong[1:]})"
