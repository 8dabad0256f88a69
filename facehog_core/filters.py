"""The language in which the catalogue is asked: ``subject=CSE020 and date>=2021-11 and corrupt<1%``.

A filter is read into `Comparison`, `Not`, `And` and `Or`, which print as they are written. Grammar, from the loosest::

    filter     = all ("or" all)*
    all        = one ("and"? one)*
    one        = "not" one | "(" filter ")" | comparison
    comparison = FIELD ("=" | "!=" | "<" | "<=" | ">" | ">=") value ("," value)*
    value      = word | 'quoted' | "quoted"

What is not known is neither equal to nor less nor more than anything; ``!=`` is the opposite of ``=``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches

from .errors import FilterError
from .filter_values import FIELDS, Chars, Kind, Known, Pattern, Whole, read_value

# Deeper or longer ones are nobody's question, and databases have limits of their own.
MOST_DEEP = 50
MOST_VALUES = 200

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<sign><=|>=|!=|=|<|>)
    |(?P<mark>[(),])
    |(?P<quoted>"[^"]*"|'[^']*')
    |(?P<word>[^\s()<>=!,"']+)""",
    re.VERBOSE,
)
_WORDS = ("and", "or", "not")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What a field is compared with: as it is written, and as it is understood.

    Parameters
    ----------
    text : str
    is_quoted : bool
    known : object
        None for ``none``; see `facehog_core.filter_values.read_value`.
    """

    text: str
    is_quoted: bool
    known: Known

    def __str__(self) -> str:
        if not self.is_quoted:
            return self.text
        return f"'{self.text}'" if '"' in self.text else f'"{self.text}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A field, a sign, and values of which one must fit."""

    field: str
    sign: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{self.field}{self.sign}{','.join(map(str, self.values))}"


@dataclass(frozen=True, slots=True)
class Not:
    """What must not hold."""

    part: Filter

    def __str__(self) -> str:
        return f"not {_enclose(self.part, And, Or)}"


@dataclass(frozen=True, slots=True)
class And:
    """Parts that must all hold; without parts everything holds."""

    parts: tuple[Filter, ...] = ()

    def __str__(self) -> str:
        return " and ".join(_enclose(part, And, Or) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """Parts of which one must hold."""

    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " or ".join(_enclose(part, Or) for part in self.parts)


Filter = Comparison | Not | And | Or
EVERYTHING = And()


def _enclose(part: Filter, *kinds: type) -> str:
    return f"({part})" if isinstance(part, kinds) else str(part)


def parse_filter(text: str) -> Filter:
    """Read a filter; an empty one lets everything through.

    Raises
    ------
    FilterError
        If it cannot be read: the message points at the place.
    """
    return _Parser(text).parse()


def read_sort(text: str) -> tuple[tuple[str, bool], ...]:
    """Read by which fields rows are put in order: ``subject,-date`` by subject, the last day of each first.

    Returns
    -------
    tuple of (str, bool)
        Each field, and whether its greatest value comes first.

    Raises
    ------
    FilterError
        If there is no such field.
    """
    order, at = [], 0
    for part in text.split(","):
        name = part.strip().removeprefix("-")
        check_field(name, text, at)
        order.append((name, part.strip().startswith("-")))
        at += len(part) + 1
    return tuple(order)


def check_field(name: str, text: str, at: int = 0) -> None:
    """Check that a name in a text is that of a field.

    Raises
    ------
    FilterError
        If it is not: those that there are are named.
    """
    if name not in FIELDS:
        near = get_close_matches(name, FIELDS, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise FilterError(text, f"there is no field {name!r}", f"{hint}Choose from {', '.join(FIELDS)}.", at)


def in_any_case(where: Filter) -> list[Comparison]:
    """Return what a filter compares texts with, such that lower and upper case are alike.

    The text of each value is what is compared, and not as it was written.
    """
    match where:
        case Comparison(sign="="):
            is_text = FIELDS[where.field].kind is Kind.TEXT
            texts = [value.known for value in where.values if isinstance(value.known, str) and is_text]
            values = (Value(text=text, is_quoted=True, known=_ignore_case(text)) for text in texts)
            return [replace(where, values=(value,)) for value in values]
        case And() | Or():
            return [found for part in where.parts for found in in_any_case(part)]
        case _:
            return []


def _ignore_case(text: str) -> Pattern:
    # Without the few that are two letters in the other case.
    cases = [sorted({case for case in (char, char.lower(), char.upper()) if len(case) == 1}) for char in text]
    return Pattern(tuple(Chars(tuple((case, case) for case in either), is_not=False) for either in cases))


def any_of(field: str, *known: str | int) -> Comparison:
    """Return a filter for a field that is one of some texts or numbers: each as it is, whatever is in it."""
    meant = [Whole(value) if isinstance(value, str) else value for value in known]
    values = tuple(Value(text=str(text), is_quoted=True, known=one) for text, one in zip(known, meant, strict=True))
    return Comparison(field=field, sign="=", values=values)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        """The word of the language that it is; empty if it is none."""
        return self.text.lower() if self.kind == "word" and self.text.lower() in _WORDS else ""


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0
        self._n_values = 0

    def _split(self) -> Iterator[_Token]:
        at = 0
        while at < len(self._text):
            match = _TOKEN.match(self._text, at)
            if match is None:
                is_quote = self._text[at] in "\"'"
                fact = "this quotation mark is not closed" if is_quote else f"{self._text[at]!r} has no meaning here"
                raise self._error(fact, 'Quote values such as "it\'s".', at)
            if match.lastgroup != "space":
                yield _Token(kind=str(match.lastgroup), text=match.group(), at=at)
            at = match.end()
        yield _Token(kind="end", text="", at=at)

    def _error(self, fact: str, remedy: str, at: int) -> FilterError:
        return FilterError(self._text, fact, remedy, at)

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._token
        self._next += 1
        return token

    def parse(self) -> Filter:
        if self._token.kind == "end":
            return EVERYTHING
        found = self._read_or(0)
        if self._token.kind != "end":
            raise self._error("no bracket is open here", "Take it out, or open one before.", self._token.at)
        return found

    def _read_or(self, depth: int) -> Filter:
        parts = [self._read_and(depth)]
        while self._token.word == "or":
            self._take()
            parts.append(self._read_and(depth))
        return Or(tuple(parts)) if len(parts) > 1 else parts[0]

    def _read_and(self, depth: int) -> Filter:
        parts = [self._read_one(depth)]
        while self._token.word != "or" and self._token.kind != "end" and self._token.text != ")":
            if self._token.word == "and":
                self._take()
            parts.append(self._read_one(depth))
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def _read_one(self, depth: int) -> Filter:
        token = self._take()
        if depth > MOST_DEEP:
            raise self._error("this is nested too deeply", f"At most {MOST_DEEP} levels are read.", token.at)
        if token.word == "not":
            return Not(self._read_one(depth + 1))
        if token.text == "(":
            found = self._read_or(depth + 1)
            if self._take().text != ")":
                raise self._error("this bracket is not closed", "Add a ).", token.at)
            return found
        return self._read_comparison(token)

    def _read_comparison(self, field: _Token) -> Comparison:
        if field.kind != "word" or field.word:
            what = "the filter ends" if field.kind == "end" else f"{field.text!r} stands"
            raise self._error(f"{what} where a field is expected", f"Choose from {', '.join(FIELDS)}.", field.at)
        self._check_is_no_value(field)
        check_field(field.text, self._text, field.at)
        sign = self._take()
        if sign.kind != "sign":
            raise self._error(
                f"{field.text} is compared with nothing",
                f"Write it as {field.text}{FIELDS[field.text].example}.",
                sign.at,
            )
        values = [self._read_value(field.text, sign)]
        while self._token.text == ",":
            comma = self._take()
            if sign.text not in ("=", "!="):
                raise self._error(f"several values fit {sign.text} in no way", "Use = or !=, or one value.", comma.at)
            values.append(self._read_value(field.text, sign))
        return Comparison(field=field.text, sign=sign.text, values=tuple(values))

    def _check_is_no_value(self, token: _Token) -> None:
        """Check that a word is not the rest of a value before it: ``name=a mouse``."""
        before = self._tokens[max(0, self._next - 2)]
        is_value = before is not token and before.kind == "word" and not before.word
        if token.text in FIELDS or self._token.kind == "sign" or not is_value:
            return
        value = f"{before.text} {token.text}"
        raise self._error(
            f"there is no field {token.text!r}",
            f"A value with spaces stands in quotation marks, and the filter in others: '...=\"{value}\"'.",
            token.at,
        )

    def _read_value(self, field: str, sign: _Token) -> Value:
        token = self._take()
        if token.kind not in ("word", "quoted") or token.word:
            hint = f' Write it in quotation marks: "{token.text}".' if token.word else ""
            raise self._error(
                f"a value is missing after {field}{sign.text}",
                f"Write it as {field}{FIELDS[field].example}.{hint}",
                token.at,
            )
        self._n_values += 1
        if self._n_values > MOST_VALUES:
            raise self._error("these are too many values", f"At most {MOST_VALUES} are compared with.", token.at)
        is_quoted = token.kind == "quoted"
        text = token.text[1:-1] if is_quoted else token.text
        try:
            is_none = text in ("none", FIELDS[field].never) and not is_quoted
            known = None if is_none else read_value(field, text)
            if sign.text not in FIELDS[field].signs or (known is None and sign.text not in ("=", "!=")):
                signs = "= and !=" if known is None else " and ".join(FIELDS[field].signs)
                raise ValueError(f"{field} is compared by {signs} alone")
        except ValueError as error:
            raise self._error(str(error), f"Write it as {field}{FIELDS[field].example}.", token.at) from error
        return Value(text=text, is_quoted=is_quoted, known=known)
