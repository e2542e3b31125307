"""
What to do when the Hub says no to a Space: which machines which plan may have, whose rights are missing, what works without.

    raise UserError("\\n".join(advice(refusal, ask)))

The rules of plans are those of the Hub's documentation in August 2026; the Hub's own words stand before them.
"""

from dataclasses import dataclass

from open_vr1.hub.calls import HubUnreachable, status_of, what_happened

CPU, ZERO = "cpu-basic", "zero-a10g"
FREE = (CPU, ZERO)


@dataclass(frozen=True)
class Ask:
    """
    Who has asked for what.

    Args:
        model (`str`):
            The model.
        repo (`str`):
            The Space's repository.
        user (`str`, *optional*):
            Whose token it is; `None` where that is not known.
        endpoint (`str`):
            The Hub's address.
        hardware (`str`, *optional*):
            The machine that was asked for.
    """

    model: str
    repo: str
    user: str | None
    endpoint: str
    hardware: str | None = None

    @property
    def owner(self) -> str:
        return self.repo.partition("/")[0]

    @property
    def is_own(self) -> bool:
        return self.owner == self.user

    @property
    def billing(self) -> str:
        place = "settings" if self.is_own else f"organizations/{self.owner}/settings"
        return f"{self.endpoint}/{place}/billing"


def status_behind(refusal: BaseException) -> int | None:
    """The HTTP status that a refusal was made of."""
    cause = refusal.__cause__
    return status_of(what_happened(cause)) if isinstance(cause, Exception) else None


def advice(refusal: BaseException, ask: Ask, about_hardware: bool) -> list[str]:
    """
    What can be done, a line for each thing.

    Args:
        refusal (`BaseException`):
            What [`Caller`] has raised.
        ask (`Ask`):
            Who has asked for what.
        about_hardware (`bool`):
            Whether the call was about a machine.
    """
    status = status_behind(refusal)
    if status == 402 or (status == 403 and about_hardware):
        return [*_plans(ask), *_rights(ask), *_without(ask)] if status == 403 else [*_plans(ask), *_without(ask)]
    if status == 403:
        return [*_rights(ask), *_without(ask)]
    if status == 400 and about_hardware:
        return [f"HARDWARE={ask.hardware}: the Hub may not know it; write {CPU}, {ZERO}, t4-small, l4x1 or a10g-large"]
    if status == 404:
        return [f"it may have been deleted or renamed just now; look at {ask.endpoint}/spaces/{ask.repo}"]
    if isinstance(refusal, HubUnreachable):
        return ["the Hub is busy, limits how often it is asked, or cannot be reached: try again later", *_without(ask)]
    return []


def _plans(ask: Ask) -> list[str]:
    """Only static Spaces need no plan anywhere, and a static one cannot run a model."""
    lines = []
    if ask.is_own:
        lines.append(f"HARDWARE={ZERO}: a free account in good standing may have two such Spaces, PRO has ten")
        lines.append(f"HARDWARE={CPU}: needs PRO, other machines a payment method: {ask.billing}")
    else:
        lines.append(f"{ask.owner} needs Team or Enterprise for {ZERO} and {CPU}, or credit for others: {ask.billing}")
        if ask.user:
            name = ask.repo.partition("/")[2]
            lines.append(f"REPO={ask.user}/{name}: under your own account, where two Spaces on {ZERO} are free")
    return lines


def _rights(ask: Ask) -> list[str]:
    lines = [f"use a token that may write to {ask.owner}: {ask.endpoint}/settings/tokens"]
    if not ask.is_own:
        lines.append(f"ask an admin of {ask.owner} for the role contributor or write")
    return lines


def _without(ask: Ask) -> list[str]:
    return [f"make space-local MODEL={ask.model}: opens the same app on this machine, without any of that"]
