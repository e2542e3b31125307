"""Wording that tells that the reasoner was given the answer. Part of the rule `leakage`."""

from open_vr1.cold.filter.rules.base import Reading, any_of, phrases

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
    rf"\b{_GOLD} (?:correct |final |right |true )?(?:answer|label"
    r"|(?<!given[ ])(?<!labeled[ ])(?<!labelled[ ])solution)\b(?! (?:choices?|options?|format|"
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
# Someone gave the answer; the answer was given; what it is is known; the way to it is made up afterwards.
_RIGHT = r"(?:(?:correct|right|final|true|actual|expected|desired|intended|target|real|proper|accepted|ultimate|exact) ){0,2}"
_WHAT = r"(?:answers?|(?:(?<=correct[ ])|(?<=right[ ]))(?:option|choice|label)|solution|ground[- ]truth|gold label|answer label|target (?:answer|value)|expected (?:value|output|result|response))"
_GIVER = (
    r"(?:(?:the|an?|my|this) (?:user|prompt|instructions?|hint|system (?:prompt|message)|dataset|data set|metadata"
    r"|annotation|annotator|grader"
    r"|answer sheet|reference|input|conversation|person asking|asker|questioner)|they(?:'ve| have)|you(?:'ve| have))"
)
_GAVE = (
    r"(?:says?|said|states?|stated|tells?|told|gives?|gave|given|provide[sd]?|suppl(?:y|ies|ied)|reveal(?:s|ed)?"
    r"|disclose[sd]?|hand(?:s|ed)"
    r"|share[sd]?|specif(?:y|ies|ied)|confirm(?:s|ed)?|include[sd]?|list(?:s|ed)|let (?:me|us) know|inform(?:s|ed)"
    r"|supplies|claims?|claimed|insists?"
    r"|indicates?|indicated|attached|lets? (?:me )?slip|gives? away|gave away|leaks?|leaked|mention(?:s|ed)?|names?"
    r"|show(?:s|ed)?)"
)
_GIVEN = r"(?:given|provided|supplied|revealed|disclosed|handed|told|shared|stated|supplied|communicated|specified|furnished)"
_BEFORE = r"(?:in advance|beforehand|ahead of time|up ?front|from the (?:start|outset|beginning)|to begin with|a priori|already)"
_NOT_KIND = (
    r"(?! (?:choices?|options?|format|type|sheet|box|space|must|should|has to|can't|cannot|will|would|depends)\b)"
)
_KNOWN = any_of(
    rf"\b{_GIVER} (?:has |have |had |also |already |just |clearly |explicitly |kindly ){{0,3}}{_GAVE} (?:me |us "
    r"|to me )?(?:with |that |of |about )?"
    rf"(?:the|an?|its|their|what the) {_RIGHT}{_WHAT}\b{_NOT_KIND}(?= (?:is|was|as|to be|for|,|and|of|to me|already"
    r"|here|so|at)\b|[ ]?[.,;:(])(?! (?:is|to be|as|in) (?:an?|one|the|in|only|just"
    rf"|single|rounded|either|expressed|given)\b)",
    rf"\b(?:the|this|that) {_RIGHT}{_WHAT} (?:that |which )?(?:is|was|has been|had been|being)? ?(?:already |also "
    rf"|explicitly |actually )?{_GIVEN}"
    r"(?: to (?:me|us|be)\b| (?:by|in|with|along with|at|through) (?:the|this|my|your) (?:user|prompt|input"
    r"|instructions?|message|metadata|hint|system|dataset|task|start|outset|request|conversation)"
    r"| (?:up ?front|beforehand|in advance|already|above|here|at the (?:start|outset|beginning|end)) ?[.,;:]"
    r"| as (?:[\d(]|option|[a-h]\b)| (?:is|was|says|being) (?:[-\d(]|option|[a-h]\b))",
    rf"\bthe {_RIGHT}{_WHAT} (?:i|we)(?: was|'ve been| were| have been| am|'m) (?:given|told|provided|shown|handed"
    r"|(?:supposed|meant|asked|expected) to (?:get|reach|find|arrive)|supplied)\b",
    rf"\b(?:i|we)(?:'ve|'m| was| were| have| had| am)? ?(?:been |already |also |just |actually ){{0,2}}(?:given|told"
    r"|shown|handed|informed|provided with|supplied with|tipped off|made aware)"
    rf"(?: that| of| about| what)? the {_RIGHT}{_WHAT}\b{_NOT_KIND}(?! (?:is|to be|as|in) (?:an?|one|the|in|only"
    r"|just|single|rounded|either|positive|expressed)\b)",
    rf"\b(?:the|this|that) {_RIGHT}{_WHAT} (?:is|was|has been|had been|being) (?:already |now )?(?:revealed"
    r"|disclosed|leaked|given away|handed|supplied|spoiled|no secret|fed to)\b(?! (?:by (?:the )?(?:graph|chart"
    r"|figure|image|slope)|in the (?:image|figure|table|chart)))"
    rf"|\b(?:the|this|that) {_RIGHT}{_WHAT} (?:is|was|has been|is already|was already) (?:included|contained|written"
    r"|mentioned|hidden|present) in (?:the|my|this) (?:prompt|metadata|input|instructions?|message|hint|system"
    r"|dataset)\b"
    rf"|\b(?:know|knew|known|knowing|told|aware|informed) {_BEFORE} (?:that |what )?(?:the"
    rf"|this) {_RIGHT}{_WHAT}\b{_NOT_KIND}"
    r"|\bthe (?:target|gold|gold-standard|desired|supplied|stated) answer(?= (?:is|was|of|being|says)\b|[ ]?[.,;:])"
    r"|\b(?:know|see|clear|learn|given|told|gather|take|says?|stated)\b[^.\n]{0,15} (?:from|in|by|via|per"
    r"|according to) the (?:hint|prompt|metadata|instructions?|system (?:prompt|message)"
    r"|dataset)\b[^.\n]{0,20}\b(?:answer|solution|result)\b(?! (?:should|must|choices?|options?|format|has to|needs?"
    r"|in|with|as))"
    r"|\bannotator(?:'s|s')? (?:label|answer|solution|note|mark)?s?[ ]?(?:says|states|gives|lists|marked|put|chose"
    r"|wrote|is|has)\b",
    r"\b(?:know|knew|known|knowing|have|had|having|seen|given|told|got"
    rf"|learned) (?:that )?(?:what )?the {_RIGHT}{_WHAT}(?: is| was)? {_BEFORE}\b",
    r"\b(?:i|we) (?:already |happen to |do )(?:know|have|knew) (?:that |what )?(?:the"
    rf"|this) {_RIGHT}{_WHAT}\b{_NOT_KIND}(?! (?:to|for) (?:the |part|question|step)|(?: is| was) (?:an?|in|positive"
    r"|negative|even|odd|between|less|more|greater|at)\b)",
    rf"\b(?:the|this|that|whose) {_RIGHT}(?:answer|solution) (?:is|was) (?:already )?known (?:to (?:be|equal)\b"
    r"|already\b|in advance|beforehand|,? so|and )"
    rf"|\b(?:the|a|this|that) known {_RIGHT}(?:answer|solution)(?= (?:is|was|of|being)\b|[ ]?[.,;:])"
    r"|\b(?:match(?:es)?|reach|support|justify|confirms?|agrees? with) the (?:known|supposed|stated|target"
    rf"|desired) {_RIGHT}(?:answer|result|solution)\b",
    r"\b(?:i'm|i am|we're|we are|was|it's|it is) (?:apparently |evidently )?(?:supposed|meant|expected) to (?:get"
    r"|arrive at|end up (?:with|at)|reach|conclude|land on|come (?:out )?(?:to|at)"
    r"|obtain|answer|be) (?:with )?(?:-?\d[\d.,]*|option [a-h]|[(]?[a-h][)]?)(?=[ ]?(?:[.,;:)]|$)| (?:but|so"
    r"|and (?:i|not)|as the|according|anyway|here)\b)",
    r"\b(?:agrees?|agreeing|match(?:es|ing)?|coincides?|align(?:s|ed)?|in line|fits|consistent|consonant|tall(?:y"
    r"|ies)|accord(?:s|ing)?|compar(?:e|ing|es))(?: nicely| exactly| perfectly| well)?(?: with| to)?[ ]"
    r"(?:the|what the) (?:answer|solution|label|ground[- ]truth|gold|response|result|value) (?:(?:that "
    r"|which )?(?:(?:i|we) (?:was|were|have been|'ve been)|(?:is|was|has been) )?(?:given|provided|told|supplied"
    r"|shown)(?: to (?:me|us))?"
    r"(?! (?:by (?:the )?(?:formula|equation|calculator|method|expression|rule|theorem)|in (?:the )?(?:table|figure"
    r"|image|diagram|chart|graph|options|choices|problem|question)|for|that|as one|among))|in the (?:prompt|metadata"
    r"|instructions?|key)|(?:the )?(?:user|prompt|dataset) (?:gave|provided|states?|supplied))\b",
    r"\b(?:according to|per|agrees? with|match(?:es|ing)?|consistent with|known|given|provided|compare(?:d)? with"
    r"|same as|equals?) (?:the )?(?:ground[- ]truth|gold standard|gold label)\b(?! (?:line|curve|bar|image|mask|box"
    r"|column|row|plot|points?|in the|labels|data))",
    r"\b(?:my (?:job|task|role|goal)|i(?:'m| am|'ve been| was| need| have| should| must|'ll)|the user (?:wants|asks?"
    r"|asked|needs|expects)(?: me| us)?)\b[^.\n]{0,40}\b(?:explain|justify|show|rationali[sz]e|demonstrate|derive"
    r"|find|construct|produce|write|provide|come up with|reconstruct|invent|build|create|generate|work)[ ]"
    r"(?:\w+ ){0,6}(?:(?:how|why) (?:to|we|i|one|you|someone)(?: can| could| might| would)? (?:get|gets|arrive"
    r"|arrives|come|comes|reach|reaches|ended? up)(?: there| to that| to this| at (?:that|this|it|the (?:given"
    r"|correct|right|provided|known))|\b the (?:given|correct|right|provided|known))"
    r"|(?:leads?|leading|gets?|arrives?|arriving|ends?|ending|works? (?:back|up)|reach(?:es|ing)?|support(?:s|ing)?"
    r"|justif(?:y|ies|ying)) ?(?:to|at|in|with|up at)? (?:the|that|this) (?:given |provided |correct |known |right "
    r"|stated |expected |target |desired )+(?:answer|result|solution|conclusion))\b",
    r"\b(?:pretend(?:ing)?|act(?:ing)? (?:as if|as though|like)|as if|as though|without (?:saying|mentioning"
    r"|revealing|admitting|letting on|disclosing|showing|referring)|(?:don't|do not|shouldn't|should not|must not"
    r"|can't|cannot|mustn't|never) (?:let on|reveal|mention|say|disclose|admit|show|refer to))\b[^.\n]{0,30}\b"
    r"(?:(?:know|knew|known|told|given|seen|saw|had|have|have seen|been told|was told|was given|i know"
    r"|of) (?:that )?(?:the|this|what the|about the) (?:\w+ )?(?:answer|solution|label|ground[- ]truth|description"
    r"|caption)|the (?:given|provided|reference|ground[- ]truth|known) (?:answer|solution|label)|the answer (?:was"
    r"|is|has been) (?:given|provided|known))",
    r"\b(?:back(?:ward|wards)?|reverse(?:[- ]engineer)?(?:ing)?|start(?:ing)?|retrace|retracing|peek(?:ing|ed)?"
    r"|cheat(?:ing|ed)?|look(?:ing|ed)?)\b (?:\w+ ){0,3}?(?:from|at|with) the (?:given|provided|correct|right|known"
    r"|gold|final|supplied|stated|reference|official|answer) ?(?:answer|solution|result|key|label)\b(?! (?:choices?"
    r"|options?))",
)
_ANSWER_WORDS = ("answer", "solution", "label", "ground", "gold")
_SHOWN_WORDS = phrases(
    "given|provided|supplied|reference|ground|gold|official|annotat|label|user|prompt|instruct|hint|descri|"
    "dataset|system|told|inform|know|key|reverse|backward|stated|revealed|listed|specified|supposed|provide|"
    "give |gives|gave |solution says"
)

_KNOWN_WORDS = phrases(
    "answer|solution|ground|gold|expected |supposed to|meant to|get there|the result|label|annotator"
)
_ALSO_KNOWN = phrases(
    "given|gave|gives|provided|provides|suppl|reveal|disclos|leaked|told|tell|inform|shown|hand|know|knew|"
    "metadata|hint|prompt|user|system|dataset|annot|reference|input|advance|beforehand|pretend|as if|"
    "as though|without|mention|supposed|meant to|match|agree|consistent|in line|justif|my job|my task|explain|"
    "backward|back from|reverse|peek|cheat|ground|gold|already|stated|slip|give away|gave away|gives away"
)


def answer_known(reading: Reading) -> str | None:
    """Where a text says that its writer knew the answer beforehand."""
    return reading.search(_ANSWER, _SHOWN_WORDS, _ANSWER_WORDS) or reading.search(_KNOWN, _KNOWN_WORDS, _ALSO_KNOWN)
