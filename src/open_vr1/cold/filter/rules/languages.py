"""The rule `language`: chains that are not English, or not all the way."""

import re

from open_vr1.cold.filter.rules.base import Check, read, short, word_set
from open_vr1.cold.rows import Candidate

_FORMULA = re.compile(
    r"\$\$[^$]{1,2000}\$\$|\$[^$\n]{1,300}\$|\\\((?:[^\\\n]|\\[^()\n]){0,500}\\\)|\\\[(?:[^\\]|\\[^\[\]]){0,2000}\\\]"
)
# Letters of other scripts; Latin ones with accents, IPA and the letters that formulas are set in are not among them.
_FOREIGN = re.compile(
    r"[^\W\d_\u0000-\u02ff\u1d00-\u1eff\u2070-\u218f\u2c60-\u2c7f\ua720-\ua7ff\ufb00-\ufb06\uff21-\uff5a\U0001d400-\U0001d7ff]+"
)
_GREEK = re.compile(r"[\u0370-\u03ff]{1,2}")
_FEW_LETTERS = 4  # One word of a sign may be read out.
_SYLLABLES = 3  # A letter of a syllabic or ideographic script says as much as about three Latin ones.
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")

_ENGLISH = word_set(
    "the is are of and to that this it so we for with be have has which but from there if what then i they can "
    "will not would should since because let's where each these its i'm that's it's let wait maybe okay does "
    "by at or therefore when how need looking check check"
)
_OTHER = word_set(
    # Spanish, German, French, Italian, Portuguese, Dutch
    "que los las una por del el es pero como esta este entonces respuesta está también más para porque hay "
    "luego tanto cada veo tengo na de die em un dos tres deux trois quatre due tre twee drie dois drei vier der das und ist nicht ein eine den mit wir sich auf antwort dass für sind auch wenn "
    "von zu dem im ich es also nur daher damit bleibt lautet sehe gibt haben weil noch über alle dann einen le les "
    "des est une dans pour nous avec donc sur qui réponse sont cette ce pas et du je la au aux il ainsi alors "
    "reste plus je c'est d'abord il che di della sono questo quindi risposta nel gli anche è non ho ci sono quanti "
    "os uma não com mais são então resposta isso em da há logo het een en van niet dus zijn dat voor wij maar ik "
    "er antwoord zie "
    # Polish, Czech, Turkish, Swedish, Danish, Indonesian, Romanian
    "jest się nie więc odpowiedź odpověď jsou tedy bir ve bu için cevap olarak och är det att svaret därför således "
    "yang dan adalah jadi jawaban untuk dari ini este sunt deci răspunsul și"
)
_CHUNK = 40
_FOREIGN_CHUNK = 0.25
_EQUALS = re.compile(r"\b\w{1,9}\s?=")  # The side "le" of a triangle.
_VOTES = 2  # So many more words of another language than English ones make few words foreign.


def language(max_other_script: float = 0.02, min_stop_words: float = 0.1, min_words: int = 30) -> Check:
    """
    Not English.

    Args:
        max_other_script (`float`, *optional*, defaults to `0.02`):
            Largest share of letters outside the Latin script that neither the question nor the picture's description has.
        min_stop_words (`float`, *optional*, defaults to `0.1`):
            Smallest share of words like "the" and "so".
        min_words (`int`, *optional*, defaults to `30`):
            Fewest words to judge stop words by.
    """
    for name, value in (("max_other_script", max_other_script), ("min_stop_words", min_stop_words)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; write a number from 0 to 1")

    def check(candidate: Candidate) -> str | None:
        text = candidate.thinking
        if not text.isascii() and (found := _other_script(candidate, max_other_script)):
            return found
        reading = read(text)
        formulas = "$" in text or "\\" in text
        every = _WORD.findall(_FORMULA.sub(" ", reading.lower)) if formulas else reading.words
        words = [word for word in every if len(word) > 1 and not word[0].isdigit() or word == "i"]
        if len(words) < min_words:
            return _outvoted(text, candidate)
        share = sum(map(_ENGLISH.__contains__, words)) / len(words)
        if share < min_stop_words and _is_prose(words):
            return short(f"{share:.0%} of its words are English stop words: {' '.join(words[:15])}")
        return _other_language(words, candidate)

    return check


def _other_script(candidate: Candidate, limit: float) -> str | None:
    text = _FORMULA.sub(" ", candidate.thinking)
    known = set(candidate.description + candidate.question + candidate.answer + "".join(candidate.choices))
    runs = [run for run in _FOREIGN.findall(text) if not _GREEK.fullmatch(run)]
    fresh = [letter for run in runs for letter in run if letter not in known]
    if len(fresh) < _FEW_LETTERS:
        return None
    foreign = sum(_SYLLABLES if letter >= "\u1100" else 1 for letter in fresh)
    latin = sum(map(str.isalpha, text)) - sum(map(len, runs))
    share = foreign / max(foreign + latin, 1)
    return short(f"{share:.0%} of its letters are of another script: {''.join(runs)[:60]}") if share > limit else None


def _is_prose(words: list[str]) -> bool:
    """Whether words are more than the labels and names of formulas."""
    return sum(len(word) > 2 for word in words) > len(words) / 3


def _other_language(words: list[str], candidate: Candidate) -> str | None:
    if sum(map(_OTHER.__contains__, words)) < _CHUNK * _FOREIGN_CHUNK / 2:
        return None
    known = set(_WORD.findall(f"{candidate.description} {candidate.question} {' '.join(candidate.choices)}".lower()))
    for start in range(0, max(len(words) - _CHUNK // 2, 1), _CHUNK // 2):
        chunk = words[start : start + _CHUNK]
        other = [word for word in chunk if word in _OTHER and word not in known]
        english = sum(map(_ENGLISH.__contains__, chunk))
        if len(set(other)) >= 4 and len(other) > max(_FOREIGN_CHUNK * len(chunk), english):
            return short(f"not English: {' '.join(chunk)}")
    return None


def _outvoted(text: str, candidate: Candidate) -> str | None:
    """Whether a few words have more function words of other languages than English ones."""
    # The sides DE and LE of a triangle are no words, nor are names such as Las Palmas, nor what the question has.
    text = _EQUALS.sub(" ", _FORMULA.sub(" ", text.replace("\u2019", "'")))
    words = _WORD.findall(text)
    large = [
        match.group()
        for match in _WORD.finditer(text)
        if match.group()[0].isupper() and not _starts(text, match.start())
    ]
    names = set(map(str.lower, large)) if 3 * len(large) > len(words) else set()
    words = [part for word in words for part in (word, word.partition("'")[2]) if len(part) > 1 and not word.isupper()]
    words = [word.lower() for word in words]
    asked = f"{candidate.description} {candidate.question} {' '.join(candidate.choices)}"
    known = names | set(_WORD.findall(asked.lower()))
    other = [word for word in words if (word in _OTHER or not word.isascii()) and word not in known]
    english = sum(word in _ENGLISH and word not in _OTHER for word in words)
    enough = len(set(other)) >= 3 or not english and len(set(other)) == 2
    if enough and len(other) >= max(_VOTES * english, _FOREIGN_CHUNK * len(words)):
        return short(f"not English: {' '.join(words)}")
    return None


def _starts(text: str, position: int) -> bool:
    """Whether a sentence starts at a place."""
    before = text[max(position - 3, 0) : position].rstrip()
    return position < 2 or bool(before) and before[-1] in ".!?:"
