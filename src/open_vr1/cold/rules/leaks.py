"""The rule `leakage`: wording that tells that the reasoner was given a text, or the answer."""

import re

from open_vr1.cold.rewording import TEXT_PHRASES
from open_vr1.cold.rows import Candidate
from open_vr1.cold.rules.base import Check, any_of, read
from open_vr1.cold.rules.refusals import PICTURE, unseen

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
# Another account of the picture than itself, and someone who gave it.
_ACCOUNT = (
    r"(?:description|caption|summary|transcript(?:ion)?|account|notes|narration|rendering|rendition|write-?up|breakdown"
    r"|representation|depiction|verbali[sz]ation|paraphrase|listing|version|explanation|outline)"
)
_WORDED = r"(?:textual|text-only|text-based|text|verbal|written|typed|worded|spoken|prose|transcribed|verbali[sz]ed)"
_SCENE = rf"(?:{PICTURE}|scene|original)"
_ORIGINAL = rf"(?:the|this|that|an?|any) (?:actual |real |original |full |raw )?{_SCENE}"
_TELLER = (
    r"(?:whoever|whomever|(?:the|a) (?:person|human|someone|one|annotator|captioner|narrator|transcriber|friend|writer)"
    r"(?: who| that)|someone(?: else)?(?: who| has)?|somebody(?: else)?(?: who| has)?)"
)
_NO_SIGHT = (
    r"(?:cannot|can not|can't|couldn't|could not|(?:am |'m |are |being )?(?:not able|unable) to|haven't|have not|never"
    r"|didn't|did not|don't get to|without)"
)
_SECOND_HAND = any_of(
    # "the written account I was given", "the summary of the picture says", "the passage I have instead of the image"
    rf"\b{_WORDED} {_ACCOUNT}s? (?:of|for|about|describing|that (?:i|we)|i|we|provided|supplied|given to|instead|alone"
    rf"|only)\b(?! (?:the |this |an? |your |each |its )?(?:number|expression|equation|answer|problem|question|word))",
    rf"\b(?:according to|based on|from|per|using|trust|trusting|follow|following|consult|consulting|only|rely on|relying on"
    rf"|by) (?:the|this|that|your|their) (?:\w+ )?{_ACCOUNT}s? (?:of|about|from) (?:the|this|that) {PICTURE}\b",
    rf"\b(?:the|this|that|their|your) (?:{_WORDED} |given |provided |supplied )?(?:summary|transcript(?:ion)?|notes|account|narration"
    rf"|write-?up|passage|paragraph|listing|rendition|version|wording|words|text|information)[ ]"
    rf"(?:that |which )?(?:(?:i|we) (?:was|were|am|have been|'ve been|got|received|have(?! to| been asked)|had|rely|depend)"
    rf"|(?:was|were|has been|have been) (?:given|handed|passed|provided|supplied|relayed|sent) to (?:me|us))\b",
    rf"\b(?:{_ACCOUNT}|text|words|passage|paragraph|wording|textual \w+)s? (?:\w+ ){{0,3}}(?:instead of|rather than|in place of|in lieu of"
    rf"|and not|but not|not|without) (?:having |seeing |being shown |access to )?{_ORIGINAL}\b(?! (?:text|caption|label|itself is))",
    # "I only know what I was told", "going by what the user told me", "taking their word for it"
    rf"\b(?:i|we|i'm|i've|we've|only|just|from|on|by|of|as|trust|with|than) (?:\w+ )?what (?:(?:i|we) (?:was|were|am|are|have been|'ve been|have)"
    rf"|i'm|i've been|we've been|(?:is|was|has been|'s been)|(?:the user|someone|they|you) (?:has |have )?)[ ]?"
    rf"(?:told|relayed|conveyed|recounted|told me|passed on|told us|described|relayed to me)\b(?! (?:in|as|by) (?:the|this) (?:{PICTURE}|problem|question))",
    rf"\btak(?:e|ing) (?:\w+ |the user's )word for (?:it|this|that)\b|\b(?:second[- ]?hand|hearsay)\b[^.\n]{{0,30}}\b"
    rf"(?:{_ACCOUNT}|information|knowledge|{PICTURE})",
    rf"\b(?:i'm|i am|i was|i've been|we're|we are|we were) (?:only |just |merely |never )?(?:told|reading|read)[ ](?:only |just |merely )?"
    rf"(?:about |of )?(?:an?|the|this|what the) (?:{PICTURE} (?:looks|contains|shows|is like|through)|(?:textual |verbal |written )?(?:description|account|summary|transcript))",
    # "whoever transcribed it", "the person who described the picture"
    rf"\b{_TELLER} (?:has |had |first )?(?:described|transcribed|captioned|annotated|verbali[sz]ed|put)[ ](?:the (?:\w+ )?{_SCENE}|this|it|what|all|everything)\b"
    rf"(?! (?:in the (?:{PICTURE}|passage|text)|under|below))",
    rf"\b{_TELLER} (?:has |had )?(?:wrote|written|typed|made|drafted|prepared|composed) (?:up |out |down )?(?:(?:the|this|that) (?:\w+ )?{_ACCOUNT}"
    rf"|(?:it|this|what|everything) (?:up|out|down)\b|down what)\b",
    # "I can't see it myself", "I haven't looked at the image", "not being able to check it with my own eyes"
    rf"\b{_NO_SIGHT} (?:actually |really |directly |even |ever )?(?:see|seen|view|viewed|check|checked|verify|look at|looked at|looking at|inspect|inspected"
    rf"|confirm|seeing|checking|observe|examine)[ ](?:(?:it|this|that|them|any of (?:it|this)|things|{_ORIGINAL}) )?(?:for )?"
    rf"(?:myself|ourselves|first[- ]?hand|with my own eyes|visually|with our own eyes|by looking)\b(?! (?:that|why|how))",
    rf"\b(?:i|we)(?:'ve| have|'m| am|'re| are)? (?:not|never|haven't|n't|can't|cannot|didn't|aren't|don't) (?:actually |really |even |ever |directly )*"
    rf"(?:seen|see|looked at|looking at|look at|been shown|viewed|shown) (?:the|this|that|any) (?:actual |real |original |source )*{_SCENE}\b"
    rf"(?! (?:of|formed|on|from|from|as|like|with|correctly|well|carefully|clearly|side|part|in|for|problem|equation|price|cost|value|number|question|text))",
    # "pretend to look at the picture", "as if I were seeing the image"
    rf"\b(?:pretend(?:ing)?|act(?:ing)?|writ(?:e|ing)|reason(?:ing)?|answer(?:ing)?|respond(?:ing)?|speak(?:ing)?|talk(?:ing)?|sound)\b[^.\n]{{0,30}}\b"
    rf"(?:(?:as if|as though|like|that|to) (?:i |i'm |i am |i've |i have |i'd |we |be |to )?(?:were |was |can |could |had |to )?(?:actually |directly )?(?:see|seen|seeing|look|looked"
    rf"|looking|viewing|have seen)(?: at)? (?:it|the|this) ?{PICTURE}?)",
    r"\b(?:just|only|simply|solely|purely|merely|entirely|exclusively)(?: have| need|'ve got)?(?: to)? (?:follow|go by|trust|rely on|work from|use|go on|on|from"
    r"|go off|work with|depend on) (?:the |this |that |these |plain )?(?:text|words|written words|wording)\b"
    r"(?! (?:in|on|of|at|above|below|inside|box|boxes|label|labels|problem|that|which|written|from|under|next))",
    r"\b(?:follow|trust|go by|rely on|relying on|trusting|going by|work from|working from) the text\b(?= ?[.,;]| alone| only| here| i )",
)
# Someone gave the answer; the answer was given; what it is is known; the way to it is made up afterwards.
_RIGHT = r"(?:(?:correct|right|final|true|actual|expected|desired|intended|target|real|proper|accepted|ultimate|exact) ){0,2}"
_WHAT = r"(?:answers?|solution|ground[- ]truth|gold label|answer label|target (?:answer|value)|expected (?:value|output|result|response))"
_GIVER = (
    r"(?:(?:the|an?|my|this) (?:user|prompt|instructions?|hint|system (?:prompt|message)|dataset|data set|metadata|annotation|annotator|grader"
    r"|answer sheet|reference|input|conversation|person asking|asker|questioner)|they(?:'ve| have)|you(?:'ve| have))"
)
_GAVE = (
    r"(?:says?|said|states?|stated|tells?|told|gives?|gave|given|provide[sd]?|suppl(?:y|ies|ied)|reveal(?:s|ed)?|disclose[sd]?|hand(?:s|ed)"
    r"|share[sd]?|specif(?:y|ies|ied)|confirm(?:s|ed)?|include[sd]?|list(?:s|ed)|let (?:me|us) know|inform(?:s|ed)|supplies|claims?|claimed|insists?"
    r"|indicates?|indicated|attached)"
)
_GIVEN = r"(?:given|provided|supplied|revealed|disclosed|handed|told|shared|stated|supplied|communicated|specified|furnished)"
_BEFORE = r"(?:in advance|beforehand|ahead of time|up ?front|from the (?:start|outset|beginning)|to begin with|a priori|already)"
_NOT_KIND = (
    r"(?! (?:choices?|options?|format|type|sheet|box|space|must|should|has to|can't|cannot|will|would|depends)\b)"
)
_KNOWN = any_of(
    rf"\b{_GIVER} (?:has |have |had |also |already |just |clearly |explicitly |kindly ){{0,3}}{_GAVE} (?:me |us |to me )?(?:with |that |of |about )?"
    rf"(?:the|an?|its|their|what the) {_RIGHT}{_WHAT}\b{_NOT_KIND}(?= (?:is|was|as|to be|for|,|and|of|to me|already|here|so|at)\b|[ ]?[.,;:(])(?! (?:is|to be|as|in) (?:an?|one|the|in|only|just"
    rf"|single|rounded|either|expressed|given)\b)",
    rf"\b(?:the|this|that) {_RIGHT}{_WHAT} (?:that |which )?(?:is|was|has been|had been|being)? ?(?:already |also |explicitly |actually )?{_GIVEN}"
    rf"(?: to (?:me|us|be)\b| (?:by|in|with|along with|at|through) (?:the|this|my|your) (?:user|prompt|input|instructions?|message|metadata|hint|system|dataset|task|start|outset|request|conversation)"
    rf"| (?:up ?front|beforehand|in advance|already|above|here|at the (?:start|outset|beginning|end)) ?[.,;:]| as (?:[\d(]|option|[a-h]\b)| (?:is|was|says|being) (?:[-\d(]|option|[a-h]\b))",
    rf"\bthe {_RIGHT}{_WHAT} (?:i|we)(?: was|'ve been| were| have been| am|'m) (?:given|told|provided|shown|handed|supposed|meant|asked|expected)\b",
    rf"\b(?:i|we)(?:'ve|'m| was| were| have| had| am)? ?(?:been |already |also |just |actually ){{0,2}}(?:given|told|shown|handed|informed|provided with|supplied with|tipped off|made aware)"
    rf"(?: that| of| about| what)? the {_RIGHT}{_WHAT}\b{_NOT_KIND}(?! (?:is|to be|as|in) (?:an?|one|the|in|only|just|single|rounded|either|positive|expressed)\b)",
    rf"\b(?:know|knew|known|knowing|have|had|having|seen|given|told|got|learned) (?:that )?(?:what )?the {_RIGHT}{_WHAT}(?: is| was)? {_BEFORE}\b",
    rf"\b(?:i|we) (?:already |happen to |do )(?:know|have|knew) (?:that |what )?(?:the|this) {_RIGHT}{_WHAT}\b{_NOT_KIND}(?! (?:to|for) (?:the |part|question|step)|(?: is| was) (?:an?|in|positive|negative|even|odd|between|less|more|greater|at)\b)",
    rf"\b(?:the|this|that|whose) {_RIGHT}(?:answer|solution) (?:is|was) (?:already )?known (?:to (?:be|equal)\b|already\b|in advance|beforehand|,? so|and )"
    rf"|\b(?:the|a|this|that) known {_RIGHT}(?:answer|solution)(?= (?:is|was|of|being)\b|[ ]?[.,;:])|\b(?:match(?:es)?|reach|support|justify|confirms?|agrees? with) the (?:known|supposed|stated|target|desired) {_RIGHT}(?:answer|result|solution)\b",
    r"\b(?:i'm|i am|we're|we are|was|it's|it is) (?:apparently |evidently )?(?:supposed|meant|expected) to (?:get|arrive at|end up (?:with|at)|reach|conclude|land on|come (?:out )?(?:to|at)"
    r"|obtain|answer|be) (?:with )?(?:-?\d[\d.,]*|option [a-h]|[(]?[a-h][)]?)(?=[ ]?(?:[.,;:)]|$)| (?:but|so|and (?:i|not)|as the|according|anyway|here)\b)",
    r"\b(?:agrees?|agreeing|match(?:es|ing)?|coincides?|align(?:s|ed)?|in line|fits|consistent|consonant|tall(?:y|ies)|accord(?:s|ing)?|compar(?:e|ing|es))(?: nicely| exactly| perfectly| well)?(?: with| to)?[ ]"
    r"(?:the|what the) (?:answer|solution|label|ground[- ]truth|gold|response|result|value) (?:(?:that |which )?(?:(?:i|we) (?:was|were|have been|'ve been)|(?:is|was|has been) )?(?:given|provided|told|supplied|shown)(?: to (?:me|us))?"
    r"(?! (?:by (?:the )?(?:formula|equation|calculator|method|expression|rule|theorem)|in (?:the )?(?:table|figure|image|diagram|chart|graph|options|choices|problem|question)|for|that|as one|among))|in the (?:prompt|metadata|instructions?|key)|(?:the )?(?:user|prompt|dataset) (?:gave|provided|states?|supplied))\b",
    r"\b(?:according to|per|agrees? with|match(?:es|ing)?|consistent with|known|given|provided|compare(?:d)? with|same as|equals?) (?:the )?(?:ground[- ]truth|gold standard|gold label)\b(?! (?:line|curve|bar|image|mask|box|column|row|plot|points?|in the|labels|data))",
    r"\b(?:my (?:job|task|role|goal)|i(?:'m| am|'ve been| was| need| have| should| must|'ll)|the user (?:wants|asks?|asked|needs|expects)(?: me| us)?)\b[^.\n]{0,40}\b(?:explain|justify|show|rationali[sz]e|demonstrate|derive|find|construct|produce|write|provide|come up with|reconstruct|invent|build|create|generate|work)[ ]"
    r"(?:\w+ ){0,6}(?:(?:how|why) (?:to|we|i|one|you|someone)(?: can| could| might| would)? (?:get|gets|arrive|arrives|come|comes|reach|reaches|ended? up)(?: there| to that| to this| at (?:that|this|it|the (?:given|correct|right|provided|known))|\b the (?:given|correct|right|provided|known))"
    r"|(?:leads?|leading|gets?|arrives?|arriving|ends?|ending|works? (?:back|up)|reach(?:es|ing)?|support(?:s|ing)?|justif(?:y|ies|ying)) ?(?:to|at|in|with|up at)? (?:the|that|this) (?:given |provided |correct |known |right |stated |expected |target |desired )+(?:answer|result|solution|conclusion))\b",
    r"\b(?:pretend(?:ing)?|act(?:ing)? (?:as if|as though|like)|as if|as though|without (?:saying|mentioning|revealing|admitting|letting on|disclosing|showing|referring)|(?:don't|do not|shouldn't|should not|must not|can't|cannot|mustn't|never) (?:let on|reveal|mention|say|disclose|admit|show|refer to))\b[^.\n]{0,30}\b"
    r"(?:(?:know|knew|known|told|given|seen|saw|had|have|have seen|been told|was told|was given|i know|of) (?:that )?(?:the|this|what the|about the) (?:\w+ )?(?:answer|solution|label|ground[- ]truth|description|caption)|the (?:given|provided|reference|ground[- ]truth|known) (?:answer|solution|label)|the answer (?:was|is|has been) (?:given|provided|known))",
    r"\b(?:back(?:ward|wards)?|reverse(?:[- ]engineer)?(?:ing)?|start(?:ing)?|retrace|retracing|peek(?:ing|ed)?|cheat(?:ing|ed)?|look(?:ing|ed)?)\b (?:\w+ ){0,3}?(?:from|at|with) the (?:given|provided|correct|right|known|gold|final|supplied|stated|reference|official|answer) ?(?:answer|solution|result|key|label)\b(?! (?:choices?|options?))",
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

_SECOND_HAND_WORDS = (
    *(
        "textual",
        "text",
        "verbal",
        "written",
        "typed",
        "worded",
        "descri",
        "caption",
        "summary",
        "transcri",
        "account",
    ),
    *("notes", "narrat", "passage", "paragraph", "wording", "words", "information", "told", "relayed", "recount"),
    *("word for", "hand ", "whoever", "who ", "myself", "own eyes", "visually", "pretend", "as if", "as though"),
    *("can't", "cannot", "haven't", "never", "not ", "unable", "without", "able to", "version", "rendition"),
)
_KNOWN_WORDS = (*_SHOWN_WORDS, "reveal", "disclos", "hand", "share", "meant", "advance", "beforehand", "upfront")
_KNOWN_WORDS += (
    "agree",
    "match",
    "consistent",
    "coincid",
    "in line",
    "my job",
    "my task",
    "explain",
    "justify",
    "pretend",
    "as if",
)
_KNOWN_WORDS += (
    "as though",
    "without",
    "backward",
    "start",
    "peek",
    "cheat",
    "reach",
    "support",
    "confirm",
    "tall",
    "fits",
)
_ALSO_KNOWN = (*_ANSWER_WORDS, "supposed to", "meant to", "expected", "get there", "target")


def leakage() -> Check:
    """Text or gold shown."""

    def check(candidate: Candidate) -> str | None:
        reading = read(candidate.thinking)
        return (
            next((found for pattern in _PHRASES if (found := reading.search(pattern, _TEXT_WORDS))), None)
            or reading.search(_TEXT, _TEXT_WORDS)
            or reading.search(_SECOND_HAND, _SECOND_HAND_WORDS)
            or reading.search(_ANSWER, _SHOWN_WORDS, _ANSWER_WORDS)
            or reading.search(_KNOWN, _KNOWN_WORDS, _ALSO_KNOWN)
            or unseen(reading)
        )

    return check
