r"""Plain algebra without math-verify: sums, products, quotients, powers and roots of numbers, \pi and one-letter variables.

Both sides are parsed by a grammar that refuses whatever could be read in two ways, and evaluated at a few fixed points. A
clear difference at one point proves them different; agreement at all of them is taken as equality, as two such formulas
that agree at random points are equal but for a set of measure zero. Anything else is left to math-verify.
"""

import cmath
import math
import random
import re
from collections.abc import Callable
from functools import lru_cache

MAX_LENGTH = 300
MAX_BRACKETS = 40
POINTS = 4
_SAME, _DIFFERENT = 1e-9, 1e-6
_SMALLEST, _LARGEST = 1e-6, 1e6
_TOKEN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+|\\[a-zA-Z]+|[A-Za-z]+|[-+*/^(){}\[\]])")
_PRODUCT_SIGNS = ("*", r"\cdot", r"\times")
_STARTS_FACTOR = re.compile(r"[0-9.A-Za-z({]|\\(?:pi|frac|sqrt|sin|cos|tan|ln)$")
_REFUSED_WORDS = {"ln", "lg", "cm", "mm", "km", "kg", "ml", "sq", "ft", "in", "or", "to", "is", "no"}
_FUNCTIONS = {r"\sin": cmath.sin, r"\cos": cmath.cos, r"\tan": cmath.tan, r"\ln": cmath.log}
_EQUATION = re.compile(r"([A-Za-z]|[a-zA-Z]\([a-z]\))\s*=([^=]+)")
_REFUSED_LETTERS = {"e", "i", "E", "I"}

Formula = Callable[[int], complex]


class _NotPlain(Exception):
    pass


@lru_cache(maxsize=4096)
def _value_of(letter: str, point: int) -> float:
    chance = random.Random(f"{letter}{point}")
    return chance.choice((-1, 1)) * chance.uniform(0.3, 3.0)


def _number(value: float) -> Formula:
    return lambda point: value


def _power(base: Formula, exponent: Formula) -> Formula:
    def value(point: int) -> complex:
        bottom, top = base(point), exponent(point)
        return bottom**top if bottom != 0 or top != 0 else 1.0

    return value


class _Parser:
    def __init__(self, text: str):
        self.tokens: list[str] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise _NotPlain
            self.tokens.append(match[1])
            position = match.end()
        self.position = 0
        self.variables = False

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or wanted and token != wanted:
            raise _NotPlain
        self.position += 1
        return token

    def sum(self) -> Formula:
        sign = -1.0 if self.peek() == "-" else 1.0
        if self.peek() in ("+", "-"):
            self.take()
        total = self._signed(self.product(), sign)
        while self.peek() in ("+", "-"):
            sign = 1.0 if self.take() == "+" else -1.0
            total = self._plus(total, self._signed(self.product(), sign))
        return total

    @staticmethod
    def _signed(formula: Formula, sign: float) -> Formula:
        return formula if sign > 0 else lambda point: -formula(point)

    @staticmethod
    def _plus(first: Formula, second: Formula) -> Formula:
        return lambda point: first(point) + second(point)

    @staticmethod
    def _times(first: Formula, second: Formula) -> Formula:
        return lambda point: first(point) * second(point)

    @staticmethod
    def _over(first: Formula, second: Formula) -> Formula:
        return lambda point: first(point) / second(point)

    def product(self) -> Formula:
        value, after_number = self.factor()
        while token := self.peek():
            if token in _PRODUCT_SIGNS:
                self.take()
                factor, after_number = self.factor()
                value = self._times(value, factor)
            elif token == "/":
                self.take()
                factor, _ = self.factor()
                value = self._over(value, factor)
                if self.peek() == "/" or _STARTS_FACTOR.match(self.peek()):
                    raise _NotPlain  # 1/2x is read in two ways.
            elif _STARTS_FACTOR.match(token):
                if token[0] in "0123456789." or after_number and token == r"\frac":
                    raise _NotPlain  # "2 3" is no product, and 2\frac{1}{3} is a mixed number.
                factor, after_number = self.factor()
                value = self._times(value, factor)
            else:
                break
        return value

    def factor(self) -> tuple[Formula, bool]:
        is_number = self.peek()[:1] in tuple("0123456789.")
        base = self.base()
        if self.peek() != "^":
            return base, is_number
        self.take()
        if self.peek() == "{":
            self.take()
            exponent = self.sum()
            self.take("}")
        else:
            token = self.take()
            if token in _REFUSED_LETTERS or not (len(token) == 1 and token.isalnum()):
                raise _NotPlain
            exponent = _number(float(token)) if token.isdigit() else self.variable(token)
        if self.peek() == "^":
            raise _NotPlain
        return _power(base, exponent), False

    def group(self, opening: str, closing: str) -> Formula:
        self.take(opening)
        value = self.sum()
        self.take(closing)
        return value

    def base(self) -> Formula:
        token = self.peek()
        if token == "(":
            return self.group("(", ")")
        if token == "{":
            return self.group("{", "}")
        self.take()
        if token[:1] in tuple("0123456789."):
            return _number(float(token))
        if token in (r"\pi", "pi"):
            return _number(math.pi)
        if token == r"\frac":
            return self._over(self.group("{", "}"), self.group("{", "}"))
        if token in (r"\sqrt", "sqrt"):
            index = self.group("[", "]") if self.peek() == "[" else None
            radicand = self.group("(", ")") if self.peek() == "(" else self.group("{", "}")
            if index:
                return _power(radicand, self._over(_number(1.0), index))
            return lambda point: cmath.sqrt(radicand(point))
        if token in _FUNCTIONS:
            function, argument = _FUNCTIONS[token], self.group("(", ")")
            if self.peek() == "^":
                raise _NotPlain  # Of the value or of the argument?
            return lambda point: function(argument(point))
        return self.letters(token)

    def letters(self, token: str) -> Formula:
        if not token.isalpha() or len(token) > 2 or token.lower() in _REFUSED_WORDS or _REFUSED_LETTERS & set(token):
            raise _NotPlain
        if self.peek() == "(":
            raise _NotPlain  # f(x) may be a function.
        if len(token) == 1:
            return self.variable(token)
        if self.peek() == "^":  # In ab^2 the power is b's.
            self.tokens[self.position - 1 : self.position] = list(token)
            return self.variable(token[0])
        return self._times(self.variable(token[0]), self.variable(token[1]))

    def variable(self, letter: str) -> Formula:
        self.variables = True
        return lambda point: _value_of(letter, point)


@lru_cache(maxsize=8192)
def evaluate(text: str) -> tuple[tuple[complex, ...], bool] | None:
    """A tidied formula's values at the fixed points and whether it has variables; `None` if it is not plain algebra."""
    if len(text) > MAX_LENGTH or sum(map(text.count, "([{")) > MAX_BRACKETS:
        return None
    try:
        parser = _Parser(text.rstrip())
        formula = parser.sum()
        if parser.peek():
            return None
        values = tuple(complex(formula(point)) for point in range(POINTS))
    except (_NotPlain, ArithmeticError, ValueError):
        return None
    if not all(cmath.isfinite(value) and abs(value) < 1e100 for value in values):
        return None
    return values, parser.variables


def is_plain(gold: str) -> bool:
    """Whether a tidied gold is a formula, or an equation `y = formula`, that `same_algebra` can judge."""
    equation = _EQUATION.fullmatch(gold)
    return evaluate(equation[2].strip() if equation else gold) is not None


def same_algebra(gold: str, answer: str, tolerance: float) -> bool | None:
    """Whether two tidied formulas are equal; `None` where only math-verify can tell. The tolerance is for constants."""
    equations = _EQUATION.fullmatch(gold), _EQUATION.fullmatch(answer)
    if all(equations):
        (name, gold), (answer_name, answer) = (equation.groups() for equation in equations)
        if name != answer_name or name[0] in gold + answer:  # y = 2y - x is y = x in disguise.
            return None
    sides = evaluate(gold), evaluate(answer)
    if None in sides:
        return None
    (wanted, gold_varies), (given, answer_varies) = sides
    constant = not gold_varies and not answer_varies
    sizes = [max(abs(first), abs(second)) for first, second in zip(wanted, given)]
    if constant and (wanted[0].imag or given[0].imag) or not constant and max(sizes) > _LARGEST:
        return None
    if min(sizes) < _SMALLEST and wanted != given:  # Rounding may be all that is left of a difference.
        return None
    distance = max(abs(first - second) / (size or 1.0) for first, second, size in zip(wanted, given, sizes))
    if constant:
        return abs(wanted[0] - given[0]) <= max(tolerance, _SAME) * abs(wanted[0])
    return True if distance <= _SAME else False if distance > _DIFFERENT else None
