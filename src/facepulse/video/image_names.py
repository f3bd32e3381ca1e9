"""Times and order of images, from their names.

Only what cannot be a count is a time: integers since an epoch, whose magnitude shows the unit; seconds with a decimal
point; dates and times of day with a fraction of a second.
"""

import re
import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise

from facepulse.errors import VideoError

# Numbers with several points, as in versions and addresses, are integers, and so are the two of 1.5e-05.
_NUMBER = r"(?<!\d)(?<!\d\.)\d+\.\d+(?!\.?\d|[eE][-+]?\d) | \d+"
# Two or four digits after the seconds are a counter, unless after a point.
_DIGITS = r"(?: \d{3} | \d{6} | \d{7} | \d{9} )"
_TOKEN = re.compile(
    rf"""
    (?P<dated> (?<!\d)
        (?:19|20)\d\d (?P<dash>[-_.:]?) (?:0[1-9]|1[0-2]) (?P=dash) (?:0[1-9]|[12]\d|3[01]) [-_.:T\ ]*
        (?! 000\d{{6}} (?!\d) )  # not a counter of nine digits
        (?:[01]\d|2[0-3]) (?P<colon>[-_.:]?) [0-5]\d (?P=colon) [0-5]\d (?: [.,]\d{{1,9}} | [-_:]?{_DIGITS} ) (?!\d) )
    | (?P<daytime> (?<!\d)
        (?:[01]?\d|2[0-3]) (?P<mark>[-_.:]) [0-5]\d (?P=mark) [0-5]\d
        (?: [.,]\d{{1,9}} | [-_:]{_DIGITS} ) (?!\d) )
    | (?P<unix> (?<!\d) 1\d{{9}} [-_] {_DIGITS} (?!\d) )
    | (?P<number> {_NUMBER} )""",
    re.VERBOSE,
)
_DAY_S = 24 * 3600
# Ranges and units of integers from September 2001 to May 2033; later ones begin like a date with a counter, 20261129.
_EPOCHS = [
    *((10 ** (9 + power), 2 * 10 ** (9 + power), Decimal(10) ** -power) for power in (0, 3, 6, 9)),
    # Hundreds of nanoseconds since the year 1 (.NET) and since 1601 (Windows).
    *((start + 10**16, start + 2 * 10**16, Decimal("1e-7")) for start in (621_355_968 * 10**9, 116_444_736 * 10**9)),
]
_MAX_SECONDS = 10**10  # of a number with a decimal point; seconds since 1900 are 4e9
_NOT_TIMES = "the numbers in the names of the images are not times"


class NotTimesError(VideoError):
    """Names without times, or with times that cannot be those of the frames of a video."""


def times_in_names(names: Sequence[str]) -> list[Decimal]:
    """Read the times in the names of images.

    Args:
        names: without suffixes.

    Returns:
        Seconds from any start, one per name.

    Raises:
        NotTimesError: the names differ in more than their numbers, or no number is a time.
    """
    patterns = {_TOKEN.sub(lambda token: f"<{token.lastgroup}>", name): name for name in names}
    if len(patterns) > 1:
        raise NotTimesError(f"the names of the images have several patterns ({' and '.join([*patterns.values()][:2])})")
    columns = [_Column(column) for column in zip(*map(_TOKEN.finditer, names), strict=True)]
    varying = [column for column in columns if len(set(column.values)) > 1 or len(names) == 1]
    reasons = []
    for column in sorted(varying, key=lambda column: (not column.absolute, column.kind == "number")):
        try:
            times = column.times()
            _check_steps(sorted(times))
            _check_others(times, [other for other in varying if other is not column], strict=not column.absolute)
        except NotTimesError as error:
            reasons.append(str(error))
        else:
            return times
    raise NotTimesError(next((reason for reason in reasons if reason != _NOT_TIMES), _NOT_TIMES))


def number_order(names: Sequence[str]) -> list[int]:
    """Sort names by the last number of each, if it is a counter, or else by all numbers of each (2 before 10).

    Args:
        names: without suffixes, with a number in each.

    Returns:
        Positions in `names`, those of earlier images first.
    """
    split = [re.split(f"({_NUMBER.replace(' ', '')})", name) for name in names]
    if _lacks_zeros([number.partition(".")[2] for parts in split for number in parts[1::2] if "." in number]):
        split = [re.split(r"(\d+)", name) for name in names]
    keys = [[Decimal(part) if index % 2 else part for index, part in enumerate(parts)] for parts in split]
    last = [Decimal(parts[-2]) for parts in split]
    steps = [later - earlier for earlier, later in pairwise(sorted(last))]
    # Not a counter: fractions of a second, equal numbers, and numbers of which most steps differ.
    counter = (
        not any("." in parts[-2] for parts in split)
        and all(steps)
        and 2 * max(Counter(steps).values(), default=0) > len(steps)
    )
    return sorted(range(len(names)), key=lambda index: ([last[index]] if counter else [], keys[index]))


class _Column:
    """Numbers or times at one position of each name.

    Attributes:
        kind: dated, daytime, unix or number, as in `_TOKEN`.
        values: seconds, but numbers as they are written.
        absolute: True for times whose magnitude or form shows that they are times.
    """

    def __init__(self, tokens: Sequence[re.Match[str]]) -> None:
        self.kind = str(tokens[0].lastgroup)
        parts = [_whole_and_fraction(self.kind, token[0]) for token in tokens]
        self._wholes, self._fractions = {whole for whole, _ in parts}, [fraction for _, fraction in parts]
        self.values = [Decimal(f"{whole}.{fraction or 0}") for whole, fraction in parts]
        low, high = min(self.values), max(self.values)
        units = (unit for start, end, unit in _EPOCHS if start <= low and high < end)
        self._unit = next(units, None) if self.kind == "number" else Decimal(1)
        self.absolute = self._unit is not None

    def times(self) -> list[Decimal]:
        """Return the times in seconds from any start, or raise a `NotTimesError`."""
        fractions = any(self._fractions)
        if self._unit is None and (not fractions or max(self.values) >= _MAX_SECONDS):
            raise NotTimesError(_NOT_TIMES)
        if fractions and len(self._wholes) == 1 < len(self.values):
            raise NotTimesError("the times in the names of the images, if they are times, differ by less than a second")
        if _lacks_zeros(self._fractions):
            raise NotTimesError("fractions of a second in the names of the images lack zeros (12.5 for 12.005)")
        if self.kind == "daytime":
            return _continued_after_midnight(self.values)
        return [value * (self._unit or 1) for value in self.values]


def _whole_and_fraction(kind: str, text: str) -> tuple[int, str]:
    """Split a token into a whole number (seconds, if it is a date or a time of day) and the digits of its fraction."""
    if kind == "dated":
        digits = re.sub(r"\D", "", text)
        days = date(int(digits[:4]), int(digits[4:6]), 1).toordinal() + int(digits[6:8])
        hour, minute, second, fraction = digits[8:10], digits[10:12], digits[12:14], digits[14:]
    elif kind == "daytime":
        days, (hour, minute, second, fraction) = 0, re.split(r"\D", text)
    else:
        whole, _, fraction = re.sub("[-_]", ".", text).partition(".")
        return int(whole), fraction
    return days * _DAY_S + int(hour) * 3600 + int(minute) * 60 + int(second), fraction


def _lacks_zeros(fractions: Sequence[str]) -> bool:
    """True if fractions are written as integers: of unequal lengths, although zeros at their ends are not omitted."""
    lengths = {len(fraction) for fraction in fractions if fraction}
    return len(lengths) > 1 and any(len(fraction) > 1 and fraction.endswith("0") for fraction in fractions)


def _continued_after_midnight(times: Sequence[Decimal]) -> list[Decimal]:
    """Add a day to the times of day after midnight: the recording begins after the longest pause in the day."""
    ordered = sorted(set(times))
    pauses = zip([*ordered[1:], ordered[0] + _DAY_S], ordered, strict=True)
    _, last = max((later - earlier, earlier) for later, earlier in pauses)
    return [time if time > last else time + _DAY_S for time in times]


def _check_steps(ordered: Sequence[Decimal]) -> None:
    """Refuse ascending times without a consistent step; images may be missing or repeated, and recording may pause."""
    steps = [later - earlier for earlier, later in pairwise(ordered)]
    if not steps:
        return
    typical = statistics.median(steps)
    if not Decimal("0.001") < typical < 1:
        raise NotTimesError(
            f"the times in the names of the images are {float(typical):.3g} s apart, expected between 0.001 and 1 s"
        )
    regular = sum(typical / 2 <= step <= typical * 2 for step in steps)
    covered = sum(step for step in steps if step <= 3 * typical)
    # A counter that starts again every second does not reach the end of one.
    reached = max(time % 1 for time in ordered) + 3 * typical >= 1 or ordered[-1] - ordered[0] < 1
    if 2 * regular < len(steps) or 2 * covered < sum(min(step, Decimal(1)) for step in steps) or not reached:
        raise NotTimesError("the times in the names of the images are uneven, unlike those of a camera")


def _check_others(times: Sequence[Decimal], others: Sequence[_Column], strict: bool) -> None:
    """Refuse times by which another number would often go back, as that of two cameras; if strict, even once."""
    order = sorted(range(len(times)), key=times.__getitem__)
    for other in others:
        back = sum(other.values[later] < other.values[earlier] for earlier, later in pairwise(order))
        if back > (0 if strict else len(times) / 5):
            raise NotTimesError(
                "other numbers in the names of the images go back and forth in the order of their times, "
                "as those of several cameras do"
            )
