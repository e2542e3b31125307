"""The rule `self_doubt`: a chain that ends without believing its answer. Doubt on the way ("Wait,") is wanted."""

import re

from open_vr1.cold.filter.rules.base import Check, any_of, phrases, read
from open_vr1.cold.rows import Candidate

_DOUBT = any_of(
    r"\b(?:i'm|i am|we're|still|am|but|though|although|are) (?:still |really )?not (?:entirely |completely |"
    r"really |totally |fully |quite |very |at all |so |too |100% |absolutely |particularly )?(?:sure|certain|"
    r"confident|convinced)\b(?! to\b)",
    r"\bnot (?:entirely|completely|really|totally|fully|quite|very|100%) (?:sure|certain|confident|convinced)\b",
    r"\b(?:i'm|i am|still|this is|that is|it's|it is|quite|which is|remain) (?:still |very )?(?:unsure|"
    r"uncertain|confused|stuck|lost|at a loss)\b",
    r"\bi (?:really |just |still |honestly )?(?:don't|do not) (?:really )?know\b(?! (?:the exact|yet))",
    r"\b(?:no idea|not sure,? (?:but|so|going)|i (?:have|still have) (?:some |my |serious )?doubts|"
    r"i doubt (?:this|that|it|my)|no matching (?:option|choice|answer)|hope for the best)\b",
    r"\b(?:i|we|this|that|it|my \w+) (?:might|may|could) (?:well |still |just )?(?:be (?:wrong|mistaken|"
    r"incorrect|missing something)|have (?:made (?:a|an|some) (?:mistake|error)|misread|misunderstood))",
    r"\b(?:just |simply |have to |need to |should |must |to |i'll |i will |i'd |let me |only |"
    r"might as well )(?:just )?guess\b(?! and check)",
    r"\b(?:my|a|an|the|best|educated|random|wild|rough) (?:best |educated |random |wild |rough |"
    r"only ){0,3}guess\b(?= (?:is|would|here|but|and|that|at)|[ ]?[.,;:!)]|$)",
    r"\b(?:i'm|i am|just) guessing\b|\bguess(?:ing)? (?:that )?(?:the answer|option|i'll|[a-h]\b[ ]?[.,;]|randomly)",
    r"\b(?:doesn't|does not|don't|do not|didn't|not|never) (?:seem to |appear to |really |exactly )?(?:match|"
    r"matching|fit|among|correspond to|equal|appear in|listed in)(?: with)? (?:any|one) of (?:the|these|my|"
    r"our) (?:given |provided |answer |listed ){0,3}(?:options|choices|answers)\b",
    r"\b(?:doesn't|does not|don't|do not|didn't) (?:seem to |appear to |really |exactly )?(?:match|fit|"
    r"equal)(?: with)? (?:any (?:given |answer |of the ){0,3}(?:options?|choices?|answers?)|the (?:given |"
    r"answer ){0,2}(?:options|choices))\b",
    r"\b(?:isn't|is not|not) (?:one of|among|in|listed (?:in|among)) (?:the|these) (?:given |provided |answer |"
    r"listed ){0,3}(?:options|choices|answers)\b",
    r"\bnone of (?:the|these) (?:given |provided |answer |listed ){0,3}(?:options|choices|answers)? ?(?:match|"
    r"fit|seem|work|are|is|agree|equal)",
    r"\b(?:there|the (?:problem|question|options?|answer|choices)) (?:might|may|must|could|has to|probably|"
    r"seems to) (?:be|have|has|contain)(?: some| an?)? (?:mistake|error|typo|wrong|flawed|incorrect|misprint)",
    r"\bsomething(?:'s| is| must be| seems) (?:wrong|off|not right|missing|amiss)\b",
    r"\b(?:doesn't|does not|don't|do not) (?:really |quite )?(?:make (?:any )?sense|seem right|seem correct|"
    r"add up(?! to)|look right)\b",
    r"\bi (?:can't|cannot|can not|couldn't) (?:really |quite |seem to )?(?:figure|decide|tell|be (?:sure|"
    r"certain)|determine|confirm|verify|work (?:it|this|that) out|make sense)\b",
    r"\b(?:hard|difficult|impossible) to (?:say|tell|be sure|know)(?: for (?:sure|certain))?\b(?=[ ]?[.,;:]|"
    r" (?:but|so|for|which|from))",
    r"\b(?:this|that|it)(?:'s| is) (?:very |really |so |quite |a bit )?(?:confusing|puzzling)\b|\b(?:low|"
    r"little|much|any) confidence\b",
    r"\bi'll (?:just |have to |reluctantly |tentatively )?(?:go with|pick|choose|stick with|settle (?:for|on)|"
    r"answer)\b[^.!?\n]{0,60}\b(?:anyway|for now|though|even though|even if|despite|and hope|by default|"
    r"to be safe|randomly)\b",
    r"\b(?:hmm|well|ugh|oh well|anyway),? (?:i guess |maybe |perhaps )?i'll (?:just |have to )?(?:go with|pick|"
    r"choose|settle)",
    r"(?<!first[ ])(?<!initially[ ])\bi guess\b|\bwhatever,? (?:let's|i'll)\b|\blet's (?:just )?say (?:it's |"
    r"it is |option )?[a-h]\b|\bhope (?:that's|that is|this is|it's|it is|this) (?:right|correct|ok|the)\b|"
    r"\bbut who knows\b|\bcoin (?:flip|toss)\b",
    r"\b(?:maybe|perhaps|possibly),? (?:the (?:correct |right |final )?answer (?:is|could be|might be)|it's|"
    r"it is|option|i should)\b[^.!?\n]{0,60}[.?!…]?\s*$",
    # "I don't trust this result", "I keep getting different results", "it could go either way", "at random"
    r"\b(?:i|we) (?:don't|do not|can't|cannot|can not|couldn't|wouldn't|would not|won't|hardly|no longer"
    r"|barely) (?:really |fully |quite |"
    r"entirely |completely )?(?:trust|believe in|vouch for|stand behind|rule out|guarantee|bet on|have (?:much |any "
    r"|a lot of |great |full |"
    r"complete )?(?:faith|confidence|trust))\b",
    r"\b(?:i|we) (?:can't|cannot|can not|couldn't|could not|am unable to|have no way (?:to|of)|don't see how to"
    r"|fail to|failed to) (?:really |"
    r"quite |seem to )?(?:find (?:it|the (?:mistake|error))|make up my mind|be (?:positive|sure|certain)"
    r"|choose between|pick between|"
    r"settle|know|knowing|tell|telling|reconcile|rule|resolve|see which|check|checking|verify|verifying)\b(?! (?:the"
    r"|what|how|from|any|if|an?|its|their)\b)",
    r"\b(?:keep|kept) (?:getting|arriving at|finding|coming up with) (?:a )?(?:different|conflicting|another|other"
    r"|inconsistent|varying)\b|"
    r"\bgoing (?:back and forth|around in circles|round in circles|in circles)\b|\btorn between\b|\bof two minds\b",
    r"\b(?:could|can|might|may) (?:just as (?:well|easily) be|go either way|equally(?: well)? be|be anything)\b"
    r"|\btoss[- ]?up\b|"
    r"\banyone's guess\b|\bfingers crossed\b|\bgrain of salt\b|\bshot in the dark\b|\bleap of faith\b"
    r"|\btake a (?:stab|chance|gamble)\b|"
    r"\bfor (?:lack|want) of (?:a )?(?:anything )?better\b|\bi (?:give|gave) up\b"
    r"|\bhopefully\b[^.!?\n]{0,20}\b(?:right|correct)\b|\bgut feeling\b|\bjust a hunch\b|\b(?:no|not the slightest"
    r"|not the faintest) clue\b",
    r"\b(?:i'll|i'd|i will|i would|i'm|i am|i have to|let me|let's|i|just|simply) (?:just |simply |have to "
    r"|going to |now |then ){0,2}(?:pick|picking|choose|choosing|select|selecting|go with|going with|answer|say|put"
    r"|write|take)\b[^.!?\n]{0,40}\b(?:at random|arbitrarily|randomly|"
    r"blindly|on a whim|by elimination of nothing|with reservations|reluctantly)\b",
    r"\b(?:not|n't|neither|none|no)\b[^.!?\n]{0,25}\b(?:convinces? me|convincing|persuaded|convinced|satisfying"
    r"|conclusive|trustworthy|"
    r"reliable|what i want)\b",
    r"\b(?:nothing|none of (?:this|it|that|these|my \w+)) (?:really |quite |seems to )?(?:adds?|fits?|makes sense"
    r"|works|matches)\b(?: up)?(?= ?[.,;!]|$| (?:so|but|here|and)\b)",
    r"\b(?:far|anything but|less than|never quite|not) (?:from )?(?:\w+ )?(?:certain|sure|convinced|confident"
    r"|settled)\b(?= ?[.,;:!]|$| (?:but|so|about|of|this|that|which|whether|if|here))|"
    r"\bdon't quote me\b|\b(?:flip|flipping|waver|wavering|vacillat\w+|undecided|oscillat\w+) between\b"
    r"|\bwithout being (?:sure|certain|convinced)\b|"
    r"\blean(?:ing)? (?:to|towards?|slightly)\b[^.!?\n]{0,40}\b(?:but|not|without|though)\b|\bmore of a (?:hunch"
    r"|guess|feeling)\b|\bmy hunch\b",
    r"\bno (?:good |real |sure |reliable )?way (?:for me |for us )?(?:to|of) (?:be sure|know|knowing|tell|telling"
    r"|verify|verifying|check|checking|confirm|confirming|decid\w+|be certain)\b|"
    r"\b(?:i|still|remain|am|i'm) (?:still |rather |somewhat |very |quite |a bit )?(?:doubtful|sceptical|skeptical"
    r"|unconvinced|undecided|uneasy|hesitant|in doubt|in the dark|at sea)\b|"
    r"\b(?:can't|cannot|can not|couldn't) (?:really |fully )?(?:justify|explain why|back (?:it|this|that) up"
    r"|prove (?:it|this|that))\b(?= ?[.,;:!]|$| (?:it|this|that|my)\b)",
    r"\b(?:as good )(?:an? \w+ |a choice )?as any\b|\bwho knows ?[,.?!;]|\bsomething (?:here )?(?:isn't|is not"
    r"|doesn't seem|does not seem) (?:quite )?(?:right|correct)\b|"
    r"\bi (?:strongly |rather )?(?:suspect|fear|worry|feel|am afraid) (?:that )?(?:this|it|that|my \w+|i) (?:is|am"
    r"|was|might be|may be|went) (?:wrong|incorrect|not right|mistaken|off)\b|"
    r"\b(?:looks|seems|feels) (?:a bit |a little |somewhat )?off\b(?![- ](?:center|the|to|of|by|limits|white))"
    r"|\bmight be\b[^.!?\n]{1,20},? (?:or |and )?(?:it )?might be\b",
    r"\bunclear (?:to me|which|whether|if|how)\b|\b(?:my|this|the) (?:answer|result|conclusion|choice) (?:is|remains"
    r"|seems|feels) (?:\w+ )?(?:shaky|"
    r"doubtful|uncertain|tentative|questionable|unreliable|speculative|dubious|a gamble|arbitrary|a stretch"
    r"|suspicious|iffy)\b|"
    r"\b(?:this|it|that) (?:is|feels|seems) (?:\w+ )?(?:speculati\w+|shaky|dubious|iffy|a gamble|fishy)\b",
    r"\bthe answer (?:might|may|could) be\b(?:(?!\bbut\b)[^.!?\n]){0,60}(?:[.?!…]|\bbut\b(?![^.!?\n]{0,80}\b(?:so"
    r"|therefore|must|only|positive|since|because)\b)[^.!?\n]{0,80}[.?!…]?)\s*$",
)
_RESOLVED = any_of(
    r"\b(?:yes|indeed|confirm(?:s|ed)|works|check(?:s|ed)? out|makes (?:perfect |more )?sense|ah|aha|oh|i see|"
    r"got it|verif(?:y|ies|ied)"
    r"|double[- ]check(?:ed|ing)?|definitely|clearly|certainly|now i(?:'m| am) (?:sure|confident|certain)|"
    r"resolves|that settles"
    r"|let me (?:check|verify|re\w+|double|look|test|confirm|count|try|compute|calculate|think)|wait|no doubt|"
    r"(?:doesn't|does not|won't) (?:really )?matter|irrelevant|(?:not|isn't) (?:needed|relevant)|so i(?:'m|"
    r" am) confident)\b",
)
# One of these is in whatever `_DOUBT` finds.
_HEDGES = phrases(
    "as any|gave up|suspect|fear|worry|afraid|feels|looks|n't|not |guess|maybe|perhaps|possib|might|may |could|unsure|certain|confus|stuck|lost|loss|idea|doubt|"
    "none of|something|must|has to|probably|cannot|hard to|difficult|puzzl|confidence|i'll|hope|who knows|"
    "coin |whatever|let's|no matching|seems to|never|keep|kept|circles|back and forth|torn|two minds|toss|"
    "crossed|grain of|shot in|leap of|take a|lack of|want of|give up|gut feel|hunch|clue|random|arbitrar|"
    "blindly|whim|reservations|reluctant|neither|none|unclear|shaky|tentative|speculat|dubious|iffy|"
    "questionable|far from|nothing|quote me|between|without being|lean|sceptical|skeptical|unconvinced|uneasy|"
    "hesitant|undecided|in the dark|at sea|less than|unreliable|gamble|fishy|hardly|barely|no longer|can go|"
    "unable|fail|no way"
)
_ABOUT = any_of(r" (?:if|whether|about|how|why|what|which|that)\b")
_ENDED = re.compile(r"[.!?](?=\s|$)")
_GIVES_IN = any_of(r"\b(?:guess\w*|i'll go with|go with|pick|not (?:\w+ )?sure|don't know|anyway)\b")


def self_doubt(tail_words: int = 60) -> Check:
    """
    Ends in doubt.

    Args:
        tail_words (`int`, *optional*, defaults to `60`):
            How many words at the end of the thinking are its end.
    """
    if tail_words < 1:
        raise ValueError(f"tail_words is {tail_words}; write 1 or more")

    def check(candidate: Candidate) -> str | None:
        reading = read(candidate.thinking)
        lower = reading.lower
        start = _last_words(lower, tail_words)
        tail = lower[start:]
        if not any(word in tail for word in _HEDGES):
            return None
        last = None
        for match in _DOUBT.finditer(lower, start):
            last = match
        if last is None:
            return None
        if _ABOUT.match(lower, last.end()) and len(_ENDED.findall(lower, last.end())) > 2:
            return None  # Unsure of one thing, and then on to the answer.
        # Doubt that the chain then works off is thinking; doubt that a guess follows is not.
        resolved = _RESOLVED.search(lower, last.end())
        if resolved and not _GIVES_IN.search(lower, resolved.end()):
            return None
        return reading.quote(*last.span())

    return check


def _last_words(text: str, count: int) -> int:
    """Where the sentence starts in which the last `count` words begin."""
    position = len(text)
    window = max(0, len(text) - count * 12)
    starts = [match.start() for match in re.finditer(r"\S+", text[window:])]
    if len(starts) > count:
        position = window + starts[-count]
    else:
        position = window
    before = max(text.rfind(". ", window, position), text.rfind("\n", window, position), window - 1)
    return before + 1
