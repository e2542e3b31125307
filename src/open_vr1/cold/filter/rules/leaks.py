"""The rule `leakage`: wording that tells that the reasoner was given a text, or the answer."""

import re

from open_vr1.cold.filter.rewording import TEXT_PHRASES
from open_vr1.cold.filter.rules.base import Check, any_of, phrases, read
from open_vr1.cold.filter.rules.golds import answer_known
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
# Another account of the picture than itself, and someone who gave it.
_ACCOUNT = (
    r"(?:description|caption|summary|transcript(?:ion)?|account|notes|narration|rendering|rendition|write-?up"
    r"|breakdown"
    r"|representation|depiction|verbali[sz]ation|paraphrase|listing|version|explanation|outline)"
)
_WORDED = r"(?:textual|text-only|text-based|text|verbal|written|typed|worded|spoken|prose|transcribed|verbali[sz]ed)"
_SCENE = rf"(?:{PICTURE}|scene|original)"
_ORIGINAL = rf"(?:the|this|that|an?|any) (?:actual |real |original |full |raw )?{_SCENE}"
_TELLER = (
    r"(?:whoever|whomever|(?:the|a) (?:person|human|someone|one|annotator|captioner|narrator|transcriber|friend"
    r"|writer)"
    r"(?: who| that)|someone(?: else)?(?: who| has)?|somebody(?: else)?(?: who| has)?)"
)
_NO_SIGHT = (
    r"(?:cannot|can not|can't|couldn't|could not|(?:am |'m |are |being )?(?:not able|unable) to|haven't|have not|never"
    r"|didn't|did not|don't get to|without)"
)
_SECOND_HAND = any_of(
    # "the written account I was given", "the summary of the picture says", "the passage I have instead of the image"
    rf"\b{_WORDED} {_ACCOUNT}s? (?:(?:of|for|about|describing|from) (?:the|this|that|an?|your) (?:\w+ )?{PICTURE}\b"
    r"|(?:that )?(?:i|we)\b"
    rf"|provided\b|supplied\b|given to\b|instead\b|alone\b)",
    r"\b(?:according to|based on|from|per|using|trust|trusting|follow|following|consult|consulting|only|rely on"
    r"|relying on"
    rf"|by) (?:the|this|that|your|their) (?:\w+ )?{_ACCOUNT}s? (?:of|about|from) (?:the|this|that) {PICTURE}\b",
    rf"\b(?:the|this|that|their|your) (?:{_WORDED} |given |provided |supplied )?(?:summary|transcript(?:ion)?|notes"
    r"|account|narration"
    rf"|write-?up|passage|paragraph|listing|rendition|version|wording|words|text|information)[ ]"
    r"(?:that |which )?(?:(?:i|we) (?:was|were|am|have been|'ve been|got|received|have(?! to| been asked)|had|rely"
    r"|depend)"
    rf"|(?:was|were|has been|have been) (?:given|handed|passed|provided|supplied|relayed|sent) to (?:me|us))\b",
    rf"\b(?:{_ACCOUNT}|text|words|passage|paragraph|wording|textual \w+)s? (?:\w+ ){{0,3}}(?:instead of|rather than"
    r"|in place of|in lieu of"
    r"|and not|but not|not|without) (?:having |seeing |being shown |access to )?(?:the|this|that|an?"
    rf"|any) (?:actual |real |original |full |raw )?{PICTURE}\b(?! (?:text|caption|label|itself is))",
    # "I only know what I was told", "going by what the user told me", "taking their word for it"
    r"\b(?:i|we|i'm|i've|we've|only|just|from|on|by|of|as|trust|with|than) (?:\w+ )?what (?:(?:i|we) (?:was|were|am"
    r"|are|have been|'ve been|have)"
    rf"|i'm|i've been|we've been|(?:is|was|has been|'s been)|(?:the user|someone|they|you) (?:has |have )?)[ ]?"
    r"(?:told|relayed|conveyed|recounted|told me|passed on|told us|described|relayed to me)\b(?! (?:in|as"
    rf"|by) (?:the|this) (?:{PICTURE}|problem|question))",
    rf"\btak(?:e|ing) (?:\w+ |the user's )word for (?:it|this|that)\b|\b(?:second[- ]?hand|hearsay)\b[^.\n]{{0,30}}\b"
    rf"(?:{_ACCOUNT}|information|knowledge|{PICTURE})",
    r"\b(?:i'm|i am|i was|i've been|we're|we are|we were) (?:only |just |merely |never )?(?:told|reading"
    r"|read)[ ](?:only |just |merely )?"
    rf"(?:about |of )?(?:an?|the|this|what the) (?:{PICTURE} (?:looks|contains|shows|is like|through)|(?:textual "
    r"|verbal |written )?(?:description|account|summary|transcript))",
    # "whoever transcribed it", "the person who described the picture"
    rf"\b{_TELLER} (?:has |had |first )?(?:described|transcribed|captioned|annotated|verbali[sz]ed"
    rf"|put)[ ](?:the (?:\w+ )?{_SCENE}|this|it|what|all|everything)\b"
    rf"(?! (?:in the (?:{PICTURE}|passage|text)|under|below))",
    rf"\b{_TELLER} (?:has |had )?(?:wrote|written|typed|made|drafted|prepared|composed) (?:up |out |down )?(?:(?:the"
    rf"|this|that) (?:\w+ )?{_ACCOUNT}"
    rf"|(?:it|this|what|everything) (?:up|out|down)\b|down what)\b",
    # "pretend to look at the picture", "as if I were seeing the image"
    r"\b(?:pretend(?:ing)?|act(?:ing)?|writ(?:e|ing)|reason(?:ing)?|answer(?:ing)?|respond(?:ing)?|speak(?:ing)?"
    rf"|talk(?:ing)?|sound)\b[^.\n]{{0,30}}\b"
    r"(?:(?:as if|as though|like|that|to) (?:i |i'm |i am |i've |i have |i'd |we |be |to )?(?:were |was |can "
    r"|could |had |to )?(?:actually |directly )?(?:see|seen|seeing|look|looked"
    rf"|looking|viewing|have seen)(?: at)? (?:it|the|this) ?{PICTURE}?)",
    r"\b(?:just|only|simply|solely|purely|merely|entirely|exclusively)(?: have| need|'ve got)?(?: to)? (?:follow"
    r"|go by|trust|rely on|work from|use|go on|on|from"
    r"|go off|work with|depend on) (?:the |this |that |these |plain )?(?:text|words|written words|wording)\b"
    r"(?! (?:in|on|of|at|above|below|inside|box|boxes|label|labels|problem|that|which|written|from|under|next))",
    r"\b(?:follow|trust|go by|rely on|relying on|trusting|going by|work from|working from) the text\b(?= ?[.,;]"
    r"| alone| only| here| i )",
    r"\b(?:only|just|merely|nothing but|nothing except) (?:have |has |got |given |a |the |some ){0,2}(?:words|text"
    r"|sentences|few lines|text input)\b[^.\n]{0,20}\b(?:go on|work with|rely on|go by|work from)\b"
    r"|\bno (?:actual|real) (?:image|picture|photo|diagram|figure|visual)s?\b(?! (?:of|number))",
    rf"\b{_TELLER} (?:has |had )?(?:wrote|written|write|writing) (?:up|down|out) (?:the|this|that"
    rf"|what) (?:\w+ )?(?:{_SCENE}|scene|was|is|it)\b",
    rf"\b(?:{PICTURE}|scene) (?:has been|was|is|had been|got) (?:summari[sz]ed|transcribed|verbali[sz]ed|narrated"
    r"|paraphrased|relayed|conveyed|captioned|rendered|put|turned|converted|written"
    r"|explained|recounted|translated|spelled|laid)(?: out| up| down)? (?:for me|to me|for us|to us|in words"
    r"|into words|as text|to text|in text|into text|in writing|verbally|in prose|textually)\b",
    r"\b(?:what|all|everything|the only thing) (?:that )?(?:i|we)(?:'ve)? (?:have|got|was given|were given|am given"
    r"|get|had|received)(?: here| to go on| to work with| available)? (?:is|are) (?:a|an|the|only|just|some|this) "
    rf"(?:\w+ )?(?:{_ACCOUNT}|text|words|sentences|paragraph|passage)s?\b",
    r"\b(?:transcript(?:ion)?|narration|verbali[sz]ation|write-?up|paraphrase|retelling|word picture) of (?:the"
    rf"|this|that|an?) (?:\w+ )?{PICTURE}\b",
    r"\b(?:make|making) it (?:look|seem|sound|appear) (?:like|as if|as though|that) (?:i|we)\b"
    r"|\bso (?:that )?it (?:looks|seems|sounds|appears) (?:like|as if|as though|that) (?:i|we)\b",
)
_BY_EYE = any_of(
    # "I can't see it myself", "I haven't looked at the image", "not being able to check it with my own eyes"
    rf"\b{_NO_SIGHT} (?:actually |really |directly |even |ever )?(?:see|seen|view|viewed|check|checked|verify"
    r"|look at|looked at|looking at|inspect|inspected"
    r"|confirm|seeing|checking|observe|examine)[ ](?:(?:it|this|that|them|any of (?:it|this)|things"
    rf"|{_ORIGINAL}) )?(?:for )?"
    r"(?:myself|ourselves|first[- ]?hand|with my own eyes|visually|with our own eyes|by looking)\b(?! (?:that|why"
    r"|how))",
)
_NOT_SEEN = any_of(
    rf"\b(?:instead|in place) of (?:the|an?) (?:actual |real )?{PICTURE},? (?:i|we)(?:'ve)? (?:only |just )?(?:have"
    r"|had|got|was given|were given|am given)\b",
    r"\bwithout (?:ever |actually |really )?having (?:seen|looked at|viewed|been shown) (?:the|this|that"
    rf"|any) (?:actual |real |original )?{PICTURE}\b(?! (?:of|formed|in))",
    r"\b(?:i|we)(?:'ve| have|'m| am|'re| are)? (?:not|never|haven't|n't|can't|cannot|didn't|aren't"
    r"|don't) (?:actually |really |even |ever |directly )*"
    r"(?:seen|see|saw|looked at|looking at|look at|been shown|viewed|shown) (?:the|this|that|any) (?:actual |real "
    rf"|original |source )*{_SCENE}\b"
    r"(?! (?:of|formed|on|from|from|as|like|with|correctly|well|carefully|clearly|side|part|in|for|problem|equation"
    r"|price|cost|value|number|question|text))",
)
_TEXT_WORDS = ("descri", "caption", "text", "the user", "a user")
_SECOND_HAND_WORDS = phrases(
    "text|verbal|written|typed|worded|descri|caption|summar|transcri|account|narrat|passage|paragraph|wording|"
    "words|inform|told|relayed|recount|word for|hand |hearsay|whoever|who |paraphras|sentences|write-up|"
    "writeup|retelling|pretend|as if|as though|look like|seem|sound|appear|version|rendition|no actual|"
    "no real"
)
_EYES = ("myself", "ourselves", "first-hand", "first hand", "firsthand", "own eyes", "visually", "by looking")
_SEEN = (
    "instead of",
    "in place of",
    "seen",
    "saw ",
    "see the",
    "see this",
    "see that",
    "see any",
    "looked at",
    "looking at",
    "look at",
    "shown",
    "viewed",
)


def leakage() -> Check:
    """Text or gold shown."""

    def check(candidate: Candidate) -> str | None:
        reading = read(candidate.thinking)
        return (
            next((found for pattern in _PHRASES if (found := reading.search(pattern, _TEXT_WORDS))), None)
            or reading.search(_TEXT, _TEXT_WORDS)
            or reading.search(_SECOND_HAND, _SECOND_HAND_WORDS)
            or reading.search(_BY_EYE, _EYES)
            or reading.search(_NOT_SEEN, _SEEN)
            or answer_known(reading)
            or unseen(reading)
        )

    return check
