"""`--over KEY=VALUES`: every combination of the values, each a validated recipe."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from delaytool import toml
from delaytool.errors import RecipeError, SweepError
from delaytool.experiments.sweep.setting import Setting, refuse_twins
from delaytool.trainer.recipe import all_values, load_recipe

FORM = "not of the form KEY=FIRST..LAST, KEY=FIRST..LAST..STEP or KEY=VALUE,VALUE,…"
# More combinations than this are more likely a slip of the keyboard than a plan.
MOST_RUNS = 100_000


def combinations(recipe: str, over: Sequence[str], overrides: Sequence[str] = ()) -> list[Setting]:
    """Every combination of the values that `over` names, the last key's fastest, as `recipe` with `overrides`.

    Each is what `delaytool train RECIPE --set KEY=VALUE …` trains.
    Raises SweepError for values that cannot be read, and RecipeError, which names the key, for a combination that is
    not a recipe.
    """
    axes: dict[str, list[str]] = {}
    for word in over:
        key, values = axis(word)
        if key in axes:
            raise SweepError(f"--over {word}: {key} is swept already; name all its values in one --over")
        axes[key] = values
    for override in overrides:
        if (key := override.partition("=")[0].strip()) in axes:
            raise SweepError(f"--set {override}: {key} is swept by --over; leave one of them out")
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MOST_RUNS:
        raise SweepError(f"--over: {count:,} combinations, of which at most {MOST_RUNS:,} can be swept; name fewer")
    settings = []
    for combination in itertools.product(*axes.values()):
        words = [f"{key}={text}" for key, text in zip(axes, combination, strict=True)]
        try:
            loaded = load_recipe(recipe, [*overrides, *words])
        except RecipeError as error:
            raise RecipeError(f"{error} (with {', '.join(words)})") from None
        known = all_values(loaded)
        for key in axes:
            if key not in known:
                raise SweepError(f"--over {key}: a section, not a key; name one of its keys, as in {key}.KEY=VALUES")
        settings.append(Setting({key: known[key] for key in axes}, loaded))
    refuse_twins(settings)
    return settings


def axis(word: str) -> tuple[str, list[str]]:
    """'seed=0..4' to ('seed', ['0', '1', '2', '3', '4']): values as `--set` takes them. Raises SweepError."""
    key, equals, text = (part.strip() for part in word.partition("="))
    if not equals or not key or not text:
        raise SweepError(f"--over {word}: {FORM}")
    if re.match(r"[^\[\],'\"]*\.\.", text) and not re.search(r"[/\\]", text):  # paths hold '..' too
        return key, _range(word, text)
    try:
        values = [json.dumps(value, ensure_ascii=False) for value in toml.loads(f"values = [{text}]")["values"]]
    except (toml.TOMLDecodeError, TypeError):
        values = [part.strip() for part in text.split(",")]  # bare words, as --set takes them
    if not all(values):
        raise SweepError(f"--over {word}: a value is missing; {FORM}")
    return key, values


def _range(word: str, text: str) -> list[str]:
    """Both ends belong to it. Decimal arithmetic: 0.1..0.3..0.1 has three values."""
    parts = text.split("..")
    try:
        first, last, *rest = (Decimal(part.strip()) for part in parts)
    except (InvalidOperation, ValueError):
        raise SweepError(f"--over {word}: {FORM}") from None
    if len(rest) > 1 or not all(number.is_finite() for number in (first, last, *rest)):
        raise SweepError(f"--over {word}: {FORM}")
    if not rest and not all(number == int(number) for number in (first, last)):
        raise SweepError(f"--over {word}: a range of fractions needs a step, as in {text}..0.1")
    step = rest[0] if rest else Decimal(1)
    if step <= 0 or last < first:
        raise SweepError(f"--over {word}: the range holds no value; give FIRST <= LAST and a STEP above 0")
    count = int((last - first) / step) + 1
    if count > MOST_RUNS:
        raise SweepError(f"--over {word}: {count:,} values, of which at most {MOST_RUNS:,} can be swept; name fewer")
    whole = all(number == int(number) for number in (first, step))
    numbers = (first + index * step for index in range(count))
    return [str(int(number)) if whole else str(float(number)) for number in numbers]
