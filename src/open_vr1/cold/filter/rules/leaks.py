"""The rule `leakage`: wording that tells that the reasoner was given a text, or the answer."""

import re

from open_vr1.cold.filter.rewording import TEXT_PHRASES
from open_vr1.cold.filter.rules.base import Check, any_of, read
from open_vr1.cold.filter.rules.refusals import PICTURE, unseen
from open_vr1.cold.rows import Candidate

_PHRASES = [re.compile(pattern) for pattern in TEXT_PHRASES]
_TEXT = any_of(
    # "The problem's description" is the problem; a caption it does not have.
    r"\b(?:problem|question|user|prompt|puzzle|task)(?:'s)? caption\b",
    r"\buser(?:'s)? (?:image |picture )?description\b",
    rf"\bdescriptions? of (?:the|this|that|an?|your) {PICTURE}\b",
    rf"\b(?:an?|any|only|just|textual|written|verbal|{PICTURE}) (?:(?:textual|written|verbal|text|text-based|"
    rf"detailed|short|brief) ){{0,4}}"
    r"descriptions?\b(?= (?:provided|given|instead|here|rather|alone|only)|[ ]?[.,;] (?:so|but|and|i|not) )",
    r"\b(?:textual|text-based|written|verbal) (?:description|depiction|representation|information|input|data|"
    r"context)s?\b",
    r"\b(?:description|caption) (?:that )?(?:(?:i|we) (?:was|were|have|'ve|got|am|are)\b|i've|we've|was given|"
    r"is given to (?:me|us))",
    r"\b(?:given|provided|shown|told|have) (?:only |just |me |us |with ){0,3}(?:a|the) (?:\w+ )?(?:description|"
    r"caption)\b(?! (?:of (?!the (?:image|picture))|that (?:best|matches)))",
    r"\bbased (?:only |solely |purely )?on (?:the |a )?(?:provided |given )?(?:textual |written |"
    r"verbal )?(?:text provided|descriptions?\b(?! of| in))",
    r"\b(?:the|this) text (?:provided|supplied|that was (?:provided|given)|i was given|describes|description)\b",
    r"\bfrom (?:just )?(?:the )?text alone\b|\b(?:only|just) (?:have |has |given )?(?:the )?text to (?:go on|"
    r"work with|rely on)\b",
    rf"\b(?:the|a) user(?: has| had|'s)? (?:also )?(?:describe[sd]|(?:said|says|mentioned|mentions|stated|"
    rf"states|noted|notes|told me|tells me|wrote)"
    rf" (?:that )?(?:in )?(?:the|this|their|there) (?:\w+ )?{PICTURE})\b",
    r"\b(?:the|a) user (?:has |had )?(?:provided|given|gave|supplied|shared)(?: me| us)?(?: with)? (?:a|an|the|"
    r"this|some) (?:\w+ ){0,2}(?:description|caption|text)\b",
    rf"\b(?:{PICTURE}|it|scene|setup) (?:was|is|has been|as) described (?:to (?:me|us)|in (?:words|text|"
    rf"the text|writing|the prompt)|by the user|verbally|textually)\b",
    r"\b(?:as|was|were|is|are|been) (?:described|stated|mentioned|told|given)(?: to (?:me|us))? (?:in|"
    r"by) the (?:text\b(?! (?:in|on|of|at))|prompt's|caption|description)",
    r"\bdescribed to (?:me|us)\b|\b(?:only|just) (?:been )?given (?:a |the |some )?(?:text|words)\b",
    rf"\b(?:convert|translat|turn)(?:ed|ing)? (?:the |this )?{PICTURE} (?:in)?to (?:text|words)\b|"
    rf"\balt[- ]text\b|\bimage captioning\b",
)
_NOUN = r"(?:answer|solution|label|response|option|result)"
_GOLD = (
    r"(?:given|provided|supplied|reference|ground[- ]truth|gold|golden|gold[- ]standard|official|annotated|"
    r"labell?ed|pre-?given)"
)
_STATED = (
    r"(?:is|was|says|said|states|stated|indicates|being|shows|must|should|would|seems|to be|of|here|"
    r"in the (?:prompt|input|data|user)|[:=])"
)
_NOT_FORMAT = (
    r"(?! (?:(?:is|should be|must be|was|be) )?(?:(?:in|as|given|an?|one|only|single|rounded|written|expressed|"
    r"chosen|selected"
    r"|just|either|choices?|options?|format|correct to|simplified|from) ?)\b(?! ?[.,;:]))"
)
_ANSWER = any_of(
    rf"\b{_GOLD} (?:correct |final |right |true )?(?:answer|solution|label)\b(?! (?:choices?|options?|format|"
    rf"is (?:in|as|an?|one)\b))"
    rf"(?=[ ]?(?: {_STATED}|[.,;)]| (?:provided|and my|because|since|so|but)\b|$))",
    rf"\b(?:match(?:es|ing)?|agrees? with|consistent with|align(?:s|ed|ing)? with|same as|confirms?|equals?|"
    rf"justif(?:y|ies)|"
    rf"support(?:s|ing)?|arrive at|get to|reach|lead(?:s|ing)? to|obtain) (?:the|that|this) {_GOLD} (?:correct |"
    rf"final |right )?{_NOUN}\b",
    r"\bground[- ]truth (?:answer|solution|label|is|says|states|value)\b|\bgold(?:en)? (?:answer|label)\b",
    r"\b(?:correct|right|final|true|actual|the) (?:final )?answer,? (?:that |which )?(?:is |was |"
    r"has been )?(?:already )?(?:provided|supplied)\b",
    r"\b(?:correct|right|true|the) answer (?:that |which )?(?:(?:is|was|has been) )?given(?= (?:is|was|"
    r"as (?!an? |the )|to (?:me|us)|here|says"
    r"|in the (?:prompt|user|input|instruction|description|hint|data)|by the (?:user|prompt|dataset))\b|[ ]?[,.;:])",
    r"\banswer (?:is|was|has been) (?:already )?(?:given|provided|supplied|stated|listed|specified) (?:as|"
    r"to be)[ ](?!an? |the |one |in )",
    r"\banswer (?:is|was|has been|were) (?:already )?(?:given|provided|supplied|told|revealed)(?: to (?:me|us)|"
    r" by the (?:user|prompt)"
    r"| in the (?:prompt|user|input|instructions?|description|hint|metadata|data))",
    rf"\b(?:the|a) (?:user|prompt|instructions?|hint|description|dataset|annotation)(?:'s)?[ ](?:has |had |"
    rf"also |already |clearly |explicitly ){{0,3}}"
    rf"(?:says?|said|states?|stated|mentions?|mentioned|tells?|told|claims?|claimed|indicates?|indicated|notes?|"
    rf"noted|gives?|gave"
    rf"|given|provides?|provided|confirms?|confirmed|specif(?:y|ies|ied)|insists?|expects?|lists?|shows?)"
    rf"(?: me| us)?(?: that)? (?:the |an? |their |its )?(?:correct |right |final |true |expected |"
    rf"actual )?answer\b(?! (?:choices?|options?|format|in\b|with\b|as (?:an?|the)\b)){_NOT_FORMAT}",
    rf"\b(?:i|we)(?: (?:was|were|am|are|have been)|'m|'ve been|'re) (?:already )?(?:told|given|informed|"
    rf"provided with)[ ](?:that )?(?:the )?(?:correct |right |final |true )?answer\b(?! (?:choices?|"
    rf"options?)){_NOT_FORMAT}",
    r"\b(?:i|we) (?:already )?know (?:that )?the (?:correct|right|true) answer (?:is|should|must)\b"
    r"|\b(?:i|we) already know (?:that )?the (?:final )?answer (?:is|should|must)\b",
    r"\banswer key\b(?! (?:insight|idea|step|point|fact|part|feature))|\b(?:answer|solution) (?:provided|"
    r"supplied|given) (?:by|in) the (?:user|prompt|dataset|input)\b",
    r"\breverse[- ]engineer(?:ing)?\b[^.\n]{0,40}\banswer\b|\bback(?:ward|wards)? from the (?:given|provided|"
    r"correct|known|gold|final) answer\b",
    r"\b(?:since|because|given that|knowing that) the (?:correct|right|true) answer is (?:supposed|known|given|"
    r"said|stated|already)\b",
    r"\bthe (?:correct|right|final|expected)? ?answer is supposed to be\b",
    r"\b(?:problem|question|they) (?:already )?(?:provides?|gives?|gave|provided) (?:us |me )?the (?:correct |"
    r"right |final |true )?answer (?:as|is|to be)\b(?! (?:an?|the) )",
    r"\b(?:it (?:was|is|has been)|it's) (?:stated|said|told|given) that the (?:correct |right |"
    r"final )?answer (?:is|was)\b",
    r"\banswer is already (?:given|known|provided|stated|there)\b|\bthe solution (?:says|states|claims)\b",
)
_TEXT_WORDS = ("descri", "caption", "text", "the user", "a user")
_ANSWER_WORDS = ("answer", "solution", "label", "ground", "gold")
_SHOWN_WORDS = (
    *(
        "given",
        "provided",
        "supplied",
        "reference",
        "ground",
        "gold",
        "official",
        "annotat",
        "label",
        "user",
        "prompt",
    ),
    *(
        "instruct",
        "hint",
        "descri",
        "dataset",
        "system",
        "told",
        "inform",
        "know",
        "key",
        "reverse",
        "backward",
        "stated",
    ),
    *("revealed", "listed", "specified", "supposed", "provide", "give ", "gives", "gave ", "solution says"),
)


def leakage() -> Check:
    """Text or gold shown."""

    def check(candidate: Candidate) -> str | None:
        reading = read(candidate.thinking)
        return (
            next((found for pattern in _PHRASES if (found := reading.search(pattern, _TEXT_WORDS))), None)
            or reading.search(_TEXT, _TEXT_WORDS)
            or reading.search(_ANSWER, _SHOWN_WORDS, _ANSWER_WORDS)
            or unseen(reading)
        )

    return check
