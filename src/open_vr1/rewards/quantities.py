"""Numbers as people and models write them: signs, separators, fractions, powers of ten, percent, units, `x = 5`.

`tidy` brings the many spellings of one string to one; `read_quantity` reads a number exactly (as a fraction) or not at
all: a text that merely contains a number is not a number.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

MAX_DIGITS = 300

_CHARACTERS = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_CHARACTERS |= dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000", " ")
_CHARACTERS |= dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", "")
_CHARACTERS |= dict.fromkeys("\u2212\u2013\u2010\u2011\u2012\ufe63", "-")
_CHARACTERS |= {
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "×": r"\times ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
}
_CHARACTERS |= {
    "÷": "/",
    "⁄": "/",
    "∕": "/",
    "√": r"\sqrt",
    "π": r"\pi ",
    "∞": r"\infty ",
    "°": r"^\circ ",
    "º": r"^\circ ",
}
_CHARACTERS |= {"≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap "}
_CHARACTERS |= {"θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "∈": r"\in ", "∠": r"\angle ", "℃": r"^\circ C"}
_CHARACTERS |= {"½": " 1/2", "⅓": " 1/3", "⅔": " 2/3", "¼": " 1/4", "¾": " 3/4", "⅕": " 1/5", "⅛": " 1/8"}
_TABLE = str.maketrans(_CHARACTERS)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")

# (a character that must be there, pattern, replacement): the first is looked for because it is the cheapest.
_REWRITES = [
    ("!", re.compile(r",\s*\\!\s*(?=[0-9]{3}(?![0-9]))"), ","),
    ("\\lt", re.compile(r"\\lt(?![a-zA-Z])"), "<"),
    ("\\gt", re.compile(r"\\gt(?![a-zA-Z])"), ">"),
    ("<=", re.compile(r"<="), r"\\le "),
    (">=", re.compile(r">="), r"\\ge "),
    ("!=", re.compile(r"!="), r"\\ne "),
    ("\\neq", re.compile(r"\\neq(?![a-zA-Z])"), r"\\ne "),
    ("{,}", re.compile(r"(?<=[0-9])\{,\}(?=[0-9]{3}(?![0-9]))"), ""),
    ("\\", re.compile(r"(?<=[0-9])\\[,!;: ](?=[0-9]{3}(?![0-9]))"), ""),
    ("\\", re.compile(r"\\left(?![a-zA-Z])|\\right(?![a-zA-Z])|\\displaystyle(?![a-zA-Z])|\\!"), ""),
    ("\\", re.compile(r"\\[,;: ]|\\q?quad(?![a-zA-Z])"), " "),
    ("frac", re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    ("degree", re.compile(r"\\(?:degree|textdegree)(?![a-zA-Z])"), r"^\\circ "),
    ("\\circ", re.compile(r"\^\s*\{\s*\\circ\s*\}"), r"^\\circ "),
    ("\\le", re.compile(r"\\leq?(?![a-zA-Z])"), r"\\le"),
    ("\\ge", re.compile(r"\\geq?(?![a-zA-Z])"), r"\\ge"),
    ("\\", re.compile(r"\\([%$#&])"), r"\1"),
    ("{", re.compile(r"\\[{]"), "{ "),
    ("\\lbrace", re.compile(r"\\lbrace(?![a-zA-Z])"), "{ "),
    ("}", re.compile(r"\\[}]"), " }"),
    ("\\rbrace", re.compile(r"\\rbrace(?![a-zA-Z])"), " }"),
]
_WRAPPERS = {
    start: [re.compile(pattern, re.DOTALL) for pattern in patterns]
    for start, patterns in {
        "$": (r"\$\$([^$]*)\$\$", r"\$([^$]*)\$"),
        "*": (r"\*\*([^*]*)\*\*", r"\*([^*]+)\*"),
        "`": (r"`+([^`]*)`+",),
        '"': (r'"([^"]*)"',),
        "'": (r"'([^']*)'",),
        "\\": (
            r"\\\((.*)\\\)",
            r"\\\[(.*)\\\]",
            r"\\(?:text(?:normal|bf|it|rm)?|math(?:rm|bf|it)|f?box(?:ed)?|mbox|operatorname)\s*\{([^{}]*)\}",
        ),
    }.items()
}
_MAY_NEED_REWRITES = re.compile(r"[\\<>!{$]")

_INTEGER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?:[ ][0-9]{3})+(?![0-9])|[0-9]+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.[0-9]*)?|\.[0-9]+)"
_NUMERAL = re.compile(
    rf"""(?P<sign>[+-]?)\s*(?P<currency>[$€£¥₹]?)\s*(?P<sign2>[+-]?)\s*(?:
      (?P<whole>[0-9]+)?\s*\\frac\s*(?:\{{\s*(?P<up>-?{_DECIMAL})\s*\}}\s*\{{\s*(?P<down>-?{_DECIMAL})\s*\}}
                                      |(?P<up1>[0-9])\s*(?P<down1>[0-9]))
      |(?P<mixed>[0-9]+)\s+(?P<mixed_up>[0-9]+)\s*/\s*(?P<mixed_down>[0-9]+)
      |(?P<over>{_DECIMAL})\s*/\s*(?P<under>{_DECIMAL})
      |(?:(?P<decimal>{_DECIMAL})(?:[eE](?P<exponent>[+-]?[0-9]{{1,3}})(?![0-9.])
         |\s*(?:\\times|\\cdot|[*xX])\s*10\s*\^\s*(?:\{{\s*(?P<power>[+-]?[0-9]{{1,3}})\s*\}}|(?P<power1>[+-]?[0-9]{{1,3}})))?)
    )""",
    re.VERBOSE,
)
_PLAIN_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_APPROXIMATELY = re.compile(r"(?:\\approx|\\sim|≈|approximately|approx\.?|about|around|roughly)\s*", re.IGNORECASE)
_NUMBER_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty"""
_WORDS = {word: Fraction(value) for value, word in enumerate(_NUMBER_WORDS.split())}

_UNITS = {
    "%": "% percent percentage pct",
    "degree": "degree degrees deg degs ^\\circ",
    "celsius": "^\\circc degreec degreesc degreescelsius degreecelsius celsius",
    "fahrenheit": "^\\circf degreef degreesf degreesfahrenheit degreefahrenheit fahrenheit",
    "dollar": "$ dollar dollars usd",
    "euro": "€ euro euros eur",
    "pound_sterling": "£ gbp",
    "yen": "¥ yen yuan jpy",
    "rupee": "₹ rupee rupees inr",
    "cent": "cent cents ¢",
    "m": "m meter meters metre metres",
    "km": "km kilometer kilometers kilometre kilometres kms",
    "cm": "cm centimeter centimeters centimetre centimetres cms",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "nm": "nm nanometer nanometers",
    "inch": "in inch inches",
    "foot": "ft foot feet",
    "yard": "yd yard yards yds",
    "mile": "mi mile miles",
    "g": "g gram grams",
    "kg": "kg kilogram kilograms kgs",
    "mg": "mg milligram milligrams",
    "pound": "lb lbs pound pounds",
    "ounce": "oz ounce ounces",
    "ton": "t ton tons tonne tonnes",
    "s": "s sec secs second seconds",
    "ms": "ms millisecond milliseconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "day": "d day days",
    "week": "week weeks",
    "month": "month months",
    "year": "yr yrs year years",
    "l": "l liter liters litre litres",
    "ml": "ml milliliter milliliters millilitre millilitres",
    "n": "n newton newtons",
    "j": "j joule joules",
    "kj": "kj kilojoule kilojoules",
    "w": "w watt watts",
    "kw": "kw kilowatt kilowatts",
    "v": "v volt volts",
    "a": "ampere amperes amp amps",
    "ohm": "ohm ohms \\omega Ω",
    "hz": "hz hertz",
    "pa": "pa pascal pascals",
    "kpa": "kpa",
    "k": "kelvin",
    "mol": "mol mole moles",
    "rad": "rad radian radians",
    "unit": "unit units",
    "mph": "mph",
    "kph": "kph kmh",
}
_CANONICAL_UNIT = {alias: unit for unit, aliases in _UNITS.items() for alias in aliases.split()}
_TIGHT_UNIT = re.compile(r"(?:m|g|L|l|s|N|J|W|V|K|h|t|d)(?:\s*\^\s*\{?-?[0-9]\}?)?")
_NOT_UNIT_WORDS = """or and not to than if but is are no yes of the a an either neither nor maybe more less per x plus minus
times over hundred"""
_NOT_UNITS = set(_NOT_UNIT_WORDS.split())
_UNIT_POWER = re.compile(r"(.*?)(?:\s*\^\s*\{?\s*(-?[1-9])\s*\}?)?")
_SQUARE = re.compile(r"(square|sq\.?|cubic|cu\.?)\s+(.+)")
_FACTORS = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_FACTOR = re.compile(r"\s*(thousand|million|billion|trillion)\b", re.IGNORECASE)
_NAME = re.compile(r"[^+\-*/^<>|]+|[^A-Za-z]*")
_SEVERAL_SIDES = re.compile(r"\b(?:or|and|not|never)\b|n't\b|[;?!]|,(?![^(]*\))")
_UNIT_WRAPPER = re.compile(r"\\(?:text|textnormal|mathrm|textrm|mbox|operatorname|rm|mathbf)\s*\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Quantity:
    """
    One number.

    Args:
        value (`Fraction`):
            Its exact value; a percentage keeps the number in front of the sign.
        unit (`str`, *optional*):
            The canonical unit that was written, if any.
        name (`str`, *optional*):
            The left side of an equation (`x` in `x = 5`), if any.
    """

    value: Fraction
    unit: str | None = None
    name: str | None = None


@lru_cache(maxsize=8192)
def tidy(text: str) -> str:
    """One spelling for the same characters, spaces and LaTeX decorations; nothing that changes the meaning."""
    if not text.isascii():
        text = _SUPERSCRIPT.sub(lambda match: "^{" + match.group().translate(_SUPERSCRIPTS) + "}", text)
        text = text.translate(_TABLE)
    previous, text = None, text.strip()
    if text.isascii() and text.isalnum():
        return text
    while text != previous:
        previous = text
        text = (text.rstrip(" \t\r\n.;,").removesuffix("\\\\") or text).strip()
        for wrapper in _WRAPPERS.get(text[:1], ()):
            if match := wrapper.fullmatch(text):
                text = match.group(1).strip()
    if _MAY_NEED_REWRITES.search(text):
        if text.count("$") >= 2 and text.count("$") % 2 == 0:
            text = text.replace("$", "")
        for needle, pattern, replacement in _REWRITES:
            if needle in text:
                text = pattern.sub(replacement, text)
    return " ".join(text.replace("~", " ").split())


def _number(text: str) -> Fraction:
    text = text.replace(",", "").replace(" ", "").rstrip(".")
    return Fraction(int(text)) if text.isdecimal() else Fraction(text)


def _unit(text: str, tight: bool) -> str | None:
    """The canonical unit, an empty string where there is none, or `None` where the text is no unit."""
    unwrapped = _UNIT_WRAPPER.sub(r" \1 ", text).strip(" .,{}")
    wrapped = unwrapped != text.strip(" .,{}")
    if not unwrapped:
        return ""
    if len(unwrapped) > 40:
        return None
    square = _SQUARE.fullmatch(unwrapped.lower())
    if square:
        base = _unit(square.group(2), False)
        return base + ("^2" if square.group(1).startswith("sq") else "^3") if base else None
    squeezed = re.sub(r"\s+", "", unwrapped).lower()
    if squeezed in _CANONICAL_UNIT:
        is_letter = squeezed.isalpha() and len(squeezed) == 1
        return (
            None
            if is_letter and tight and not wrapped and not _TIGHT_UNIT.fullmatch(unwrapped)
            else (_CANONICAL_UNIT[squeezed])
        )
    if "/" in unwrapped or " per " in unwrapped:
        parts = [_unit(part, False) for part in re.split(r"/| per ", unwrapped)]
        return "/".join(parts) if all(parts) else None
    base, power = _UNIT_POWER.fullmatch(unwrapped).groups()
    if power:
        if tight and not wrapped and len(base.strip()) == 1 and not _TIGHT_UNIT.fullmatch(unwrapped):
            return None
        base = _unit(base, False)
        return f"{base}^{power}" if base else None
    words = unwrapped.lower().split()
    if tight and not wrapped or len(words) > 3 or len(unwrapped) < 2 or not all(word.isalpha() for word in words):
        return None
    if _NOT_UNITS.intersection(words) or _WORDS.keys() & words or all(len(word) == 1 for word in words):
        return None
    return " ".join(word.removesuffix("s") if len(word) > 3 else word for word in words)


def _read_plain(text: str) -> Quantity | None:
    if text.lower() in _WORDS:
        return Quantity(_WORDS[text.lower()])
    if _PLAIN_NUMBER.fullmatch(text):
        return Quantity(_number(text))
    text = _APPROXIMATELY.sub("", text, count=1) if _APPROXIMATELY.match(text) else text
    match = _NUMERAL.match(text)
    if match is None:
        return None
    part = match.groupdict()
    try:
        if part["up"] or part["up1"]:
            value = _number(part["up"] or part["up1"]) / _number(part["down"] or part["down1"])
            if part["whole"]:
                value += _number(part["whole"])
        elif part["mixed"]:
            value = _number(part["mixed"]) + Fraction(int(part["mixed_up"]), int(part["mixed_down"]))
        elif part["over"]:
            value = _number(part["over"]) / _number(part["under"])
        else:
            value = _number(part["decimal"])
            power = int(part["exponent"] or part["power"] or part["power1"] or 0)
            value *= Fraction(10) ** power if power else 1
    except (ZeroDivisionError, ValueError):
        return None
    if "-" in (part["sign"] + part["sign2"]):
        value = -value
    rest = text[match.end() :]
    if factor := _FACTOR.match(rest):
        value *= _FACTORS[factor.group(1).lower()]
        rest = rest[factor.end() :]
    unit = _unit(rest, tight=not rest.startswith(" "))
    if unit is None:
        return None
    if part["currency"]:
        currency = _CANONICAL_UNIT[part["currency"]]
        unit = currency if not unit or unit == currency else f"{currency} {unit}"
    return Quantity(value, unit or None)


def sides_disagree(text: str) -> bool:
    """Whether an equation sets two different numbers equal, as `x = 3 = 5` does."""
    sides = [_read_plain(side.strip()) for side in text.split("=")] if "=" in text else []
    return len({side.value for side in sides if side}) > 1


@lru_cache(maxsize=8192)
def read_quantity(text: str) -> Quantity | None:
    """The number that a tidied text is, or `None`; in a chain `x = 3 + 2 = 5` the last one."""
    if len(text) > MAX_DIGITS:
        return None
    if "=" not in text:
        return _read_plain(text)
    if any(mark in text for mark in ("<", ">", "!=", "==", r"\ne")):
        return None
    *left, right = (side.strip() for side in text.split("="))
    quantity = _read_plain(right)
    if quantity is None or not left[0] or any(_SEVERAL_SIDES.search(side) for side in left):
        return None
    if sides_disagree(text) or not _NAME.fullmatch(left[0]):
        return None
    return Quantity(quantity.value, quantity.unit, left[0].replace(" ", ""))


_VARIABLE = re.compile(r"[A-Za-z](?:_\{?[A-Za-z0-9]+\}?)?")


def same_quantity(gold: Quantity, answer: Quantity, tolerance: float) -> bool:
    """
    Whether two numbers are the same, within a tolerance relative to the gold.

    A unit or a name that one side leaves out is ignored, two different ones are not; 50% is 50 and is 1/2.
    """
    names = (gold.name or "", answer.name or "")
    if names[0] != names[1] and all(map(_VARIABLE.fullmatch, names)):
        return False
    if gold.unit and answer.unit and gold.unit != answer.unit:
        return False
    if _close(gold.value, answer.value, tolerance):
        return True
    if gold.unit == "%" and answer.unit is None:
        return _close(gold.value / 100, answer.value, tolerance)
    if answer.unit == "%" and gold.unit is None:
        return _close(gold.value, answer.value / 100, tolerance)
    return False


def _close(gold: Fraction, answer: Fraction, tolerance: float) -> bool:
    return gold == answer or abs(gold - answer) <= Fraction(str(tolerance)) * abs(gold)
