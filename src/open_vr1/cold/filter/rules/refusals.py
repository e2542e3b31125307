"""The rule `refusal`: a reasoner that declines, or that says it has no picture to look at."""

import re

from open_vr1.cold.filter.rules.base import Check, Reading, any_of, read
from open_vr1.cold.rows import Candidate

PICTURE = (
    r"(?:images?|pictures?|figures?|diagrams?|photos?|photographs?|charts?|graphs?|drawings?|visuals?|"
    r"illustrations?|screenshots?|plots?)"
)
_WHICH = (
    r"(?:(?:the|this|that|any|your|an?|actual|attached|original|real|provided|given|such|visual|said|corresponding|"
    r"accompanying|full) ){0,4}"
)
_SEE = r"(?:see|view|look at|access|open|display|inspect|observe|perceive|examine|visually (?:see|inspect))"
_CANNOT = (
    r"(?:cannot|can not|can't|couldn't|could not|am unable to|'m unable to|are unable to|being unable to|not able to"
    r"|unable to|don't have the ability to|do not have the ability to|lack the ability to)"
)
_ADVERB = r"(?:(?:actually|directly|really|physically|personally|currently) ){0,2}"
_PROVIDED = r"(?:provided|attached|given|included|available|uploaded|supplied|accessible|here|present|visible|shown)"
# An image that a mirror forms is a matter of physics.
_NOT_OPTICS = r"(?! (?:of|formed|produced|behind|reflected|on|from|past|beyond|clearly|well|exactly|in full))"
_ENDS = (
    r"(?=\s*(?:[.,;:!?)—–]|$|so |but |and |here|(?:in|with) (?:the|this) (?:question|problem|prompt|query|message)|"
    r"to (?:me|us|look)|i ))"
)

# That there is no picture. Also what the rule `leakage` looks for.
UNSEEN = any_of(
    rf"\b(?:i|we|i'm|we're|me|as|since|because|being|still)\b(?: (?:am|are|still|just|obviously|of course|"
    rf"simply)){{0,2}}[ ]?"
    rf"{_CANNOT} {_ADVERB}{_SEE} {_WHICH}{PICTURE}\b{_NOT_OPTICS}",
    rf"\b(?:i|we) (?:don't|do not|didn't|did not) (?:actually |really )?(?:have (?:access to |sight of )?|"
    rf"see ){_WHICH}{PICTURE}\b{_ENDS}",
    rf"\bno (?:actual |visual |such )?{PICTURE}(?: (?:is|was|were|are|has been|"
    rf"have been))?(?: actually)? {_PROVIDED}\b{_ENDS}",
    rf"\b(?:(?:there is|there's|there was|i have|we have|i see|with) no|there (?:isn't|is not|wasn't) (?:an|any|"
    rf"a)) (?:actual |visual |accompanying |attached )?{PICTURE}(?: {_PROVIDED}| to look at)?{_ENDS}",
    rf"\b{PICTURE} (?:itself )?(?:is|was|are|were|has|have)(?:n't| not)(?: been)?(?: actually)? {_PROVIDED}\b{_ENDS}",
    rf"\bwithout (?:actually |directly )?(?:seeing|viewing|looking at|access to|having access to|having|"
    rf"being able to see) {_WHICH}{PICTURE}\b{_NOT_OPTICS}",
    rf"\b(?:original|actual|underlying|raw|real) (?:data|{PICTURE}|values) (?:is|was|are|were)(?:n't|"
    rf" not)(?: been)? {_PROVIDED}\b",
    rf"\b(?:need|have|would like|want) to (?:actually )?see {_WHICH}{PICTURE}\b(?= (?:to|in order|before|first)\b)",
    rf"\b(?:user|you|they|question|problem|prompt) (?:didn't|did not|doesn't|does not|hasn't|has not|haven't|"
    rf"have not) (?:actually )?"
    rf"(?:provided?|included?|attach(?:ed)?|upload(?:ed)?|shared?|suppl(?:y|ied)) {_WHICH}{PICTURE}\b{_ENDS}",
    rf"\bwithout (?:the|an|any) (?:actual |original )?(?:image|picture|figure|diagram){_ENDS}",
    rf"\b(?:missing|absent) (?:the )?{PICTURE}{_ENDS}|\b{PICTURE} (?:is|seems to be|appears to be) (?:missing|"
    rf"absent){_ENDS}",
)
_REFUSES = any_of(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|text[- ](?:based|only)|llm|"
    r"virtual assistant|chatbot)\b",
    r"\b(?:i am|i'm) (?:just |only )?an? (?:ai|artificial intelligence|(?:large )?language model|"
    r"text[- ](?:based|only)|llm)\b",
    r"\b(?:i'm|i am) (?:so |very |really )?sorry,? (?:but (?!i )|(?:but )?i (?:can't|cannot|can not|am|don't|"
    r"do not|won't)|there |for )",
    r"\bsorry,? (?:but )?(?:i|we) (?:can't|cannot|can not|am unable|'m unable|won't)",
    r"\b(?:i|we) (?:must |sincerely )?apologi[sz]e\b",
    r"\bi (?:cannot|can't|can not|won't|will not|am unable to|'m unable to|am not able to)[ ](?:assist|help|"
    r"comply|fulfill?"
    r"|engage|continue with this)\b(?! (?:but|noticing|thinking|me))",
    r"\bi(?: am|'m) (?:unable|not able) to (?:assist|help|comply|fulfill?|answer|provide|process|identify|"
    r"analy[sz]e|view)\b",
    rf"\bplease (?:provide|upload|attach|share|send|supply|describe)[ ](?:\S+ ){{0,4}}?(?:{PICTURE}|details|"
    rf"information|context|data)\b",
    r"\bi don't have (?:the ability|the capability|eyes|vision|visual)",
    r"\bagainst my (?:guidelines|programming|policy|policies)",
    rf"\bi (?:cannot|can't) (?:process|interpret|analy[sz]e|read) {_WHICH}{PICTURE}\b",
)
_GIVES_UP = any_of(
    r"\b(?:i|we) (?:cannot|can't|can not|am unable to|are unable to|'m unable to|won't be able to) (?:really |"
    r"possibly )?"
    r"(?:answer|solve|provide (?:an|a|the)(?: \w+)? (?:answer|solution))\b",
    r"\b(?:impossible|not possible) (?:for me )?to (?:answer|solve)\b",
    r"\b(?:question|problem) (?:cannot|can't) be (?:answered|solved)\b",
)
_GOES_ON = re.compile(r"\b(?:but|wait|however|let me|unless|until|directly|yet)\b")
_PICTURES = ("image", "picture", "figure", "diagram", "photo", "chart", "graph", "drawing", "visual", "illustration")
_PICTURES += ("screenshot", "plot", "original", "actual", "underlying", "raw ", "real ")
_NEGATIONS = ("n't", "not ", "no ", "unable", "without", "missing", "never", "absent", "lack", "to see")
_SIGNS = (
    "sorry",
    "apolog",
    "as an ",
    "as a ",
    "i'm ",
    "i am ",
    "i cannot",
    "i can't",
    "i can not",
    "i won't",
    "i will not",
)
_SIGNS += ("please", "i don't have", "against my")
_TAIL = 300


def unseen(reading: Reading) -> str | None:
    """Where a text says that its writer sees no picture."""
    return reading.search(UNSEEN, _PICTURES, _NEGATIONS)


def refusal() -> Check:
    """Declines or misses the picture."""

    def check(candidate: Candidate) -> str | None:
        for text in (candidate.thinking, candidate.reply, candidate.stated):
            if text and (found := _refuses(read(text))):
                return found
        return None

    return check


def _refuses(reading: Reading) -> str | None:
    if found := unseen(reading) or reading.search(_REFUSES, _SIGNS):
        return found
    # In the middle of a chain "I cannot solve this directly" is a step on the way.
    match = _GIVES_UP.search(reading.lower, max(len(reading.lower) - _TAIL, 0))
    return reading.quote(*match.span()) if match and not _GOES_ON.search(reading.lower, match.end()) else None
