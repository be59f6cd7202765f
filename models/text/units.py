"""Names of units of measure and currencies, symbols of the chemical elements."""

from __future__ import annotations

from typing import Final, NamedTuple


class Unit(NamedTuple):
    """A unit's name after one and after any other number."""

    one: str
    many: str


class Currency(NamedTuple):
    """A currency's name and its hundredth's, the latter empty if it has none in use."""

    one: str
    many: str
    cent: str
    cents: str


CURRENCIES: Final[dict[str, Currency]] = {
    "$": Currency("dollar", "dollars", "cent", "cents"),
    "£": Currency("pound", "pounds", "penny", "pence"),
    "€": Currency("euro", "euros", "cent", "cents"),
    "¥": Currency("yen", "yen", "", ""),
    "₹": Currency("rupee", "rupees", "paisa", "paise"),
    "¢": Currency("cent", "cents", "", ""),
}


def _regular(name: str) -> Unit:
    return Unit(name, name + "s")


def _units() -> dict[str, Unit]:
    units = {
        symbol: _regular(name)
        for symbol, name in {
            "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "µm": "micrometer",
            "nm": "nanometer", "mi": "mile", "yd": "yard", "kg": "kilogram", "g": "gram", "mg": "milligram",
            "µg": "microgram", "lb": "pound", "lbs": "pound", "oz": "ounce", "l": "liter", "L": "liter",
            "ml": "milliliter", "mL": "milliliter", "dl": "deciliter", "dL": "deciliter",
            "mol": "mole", "mmol": "millimole", "hr": "hour", "hrs": "hour", "h": "hour", "min": "minute",
            "mins": "minute", "sec": "second", "secs": "second", "s": "second", "ms": "millisecond",
            "µs": "microsecond", "ns": "nanosecond", "W": "watt", "kW": "kilowatt", "MW": "megawatt",
            "V": "volt", "kV": "kilovolt", "mA": "milliamp", "kWh": "kilowatt hour", "KB": "kilobyte",
            "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "Mb": "megabit",
            "Gb": "gigabit", "dB": "decibel", "J": "joule", "kJ": "kilojoule", "cal": "calorie",
            "kcal": "kilocalorie", "kPa": "kilopascal", "ha": "hectare", "tbsp": "tablespoon",
            "tsp": "teaspoon", "yds": "yard", "mos.": "month", "wks": "week", "pts": "point", "bbl": "barrel",
             "px": "pixel", "gal": "gallon", "pt": "pint", "qt": "quart", "mAh": "milliamp hour",
            "Wh": "watt hour",
            "GW": "gigawatt", "hPa": "hectopascal", "PB": "petabyte",
            "bps": "basis point", "yr": "year", "yrs": "year",
        }.items()
    }  # fmt: skip
    for length in ("km", "m", "cm", "mm"):
        name = units[length].one
        for power, word in (("2", "square"), ("3", "cubic")):
            units[length + power] = units[f"{length}^{power}"] = _regular(f"{word} {name}")
    units["kph"] = Unit("kilometer per hour", "kilometers per hour")
    units["hp"] = Unit("horsepower", "horsepower")
    units["psi"] = Unit("pound per square inch", "pounds per square inch")
    units["bpm"] = Unit("beat per minute", "beats per minute")
    units["ppg"] = Unit("point per game", "points per game")
    units["ppm"] = Unit("part per million", "parts per million")
    units["mpg"] = Unit("mile per gallon", "miles per gallon")
    units["mph"] = Unit("mile per hour", "miles per hour")
    units["ft"] = Unit("foot", "feet")
    units["in."] = Unit("inch", "inches")
    for symbol, name in {"Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz"}.items():
        units[symbol] = Unit(name, name)
    for symbol, name in {"Mbps": "megabits per second", "kbps": "kilobits per second"}.items():
        units[symbol] = Unit(name, name)
    units["rpm"] = Unit("revolution per minute", "revolutions per minute")
    units["fps"] = Unit("frame per second", "frames per second")
    return units


UNITS: Final[dict[str, Unit]] = _units()
ELEMENT: Final = (
    "A[cglmrstu]|B[aehikr]?|C[adeflmorsu]?|D[bsy]|E[rsu]|F[emr]?|G[ade]|H[efgos]?|I[nr]?|K[r]?|L[aiuv]|M[dgnot]|N[abdehiop]?"
    "|O[s]?|P[abdmortu]?|R[abefghnu]|S[bcegimnr]?|T[abehilm]|U|V|W|Xe|Y[b]?|Z[nr]"
)
"""A pattern: the symbol of a chemical element."""
