"""Refusals as the Hub words them: the client picks its exception from the status and the `X-Error-Code` header."""

from typing import Any


class HubError(Exception):
    """An answer that is not a success; raised anywhere below a route."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        **body: Any,
    ):
        super().__init__(message)
        self.status = status
        self.body = {"error": message, **body}
        self.headers = {"X-Error-Message": message, **(headers or {})}
        if code:
            self.headers["X-Error-Code"] = code


def bad_request(message: str, **body: Any) -> HubError:
    return HubError(400, message, **body)


def bad_token() -> HubError:
    # The client tells a wrong token from a hidden repository by exactly this message.
    return HubError(401, "Invalid credentials in Authorization header")


def log_in() -> HubError:
    return HubError(401, "Invalid username or password.")


def forbidden(message: str) -> HubError:
    return HubError(403, message)


def repo_not_found(known: bool) -> HubError:
    """Also for what exists and must not be seen; `known` is whether somebody has logged in."""
    if known:
        return HubError(404, "Repository not found", "RepoNotFound")
    return HubError(401, "Invalid username or password.", "RepoNotFound")


def gated(repo: str, known: bool) -> HubError:
    if known:
        return HubError(403, f"Access to {repo} is restricted and you are not in the authorized list.", "GatedRepo")
    return HubError(401, f"Access to {repo} is restricted. You must be authenticated to access it.", "GatedRepo")


def revision_not_found(revision: str) -> HubError:
    return HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def entry_not_found(path: str, commit: str | None = None) -> HubError:
    headers = {"X-Repo-Commit": commit} if commit else None
    return HubError(404, f"{path} does not exist on this revision", "EntryNotFound", headers=headers)


def not_found(message: str) -> HubError:
    return HubError(404, message)


def conflict(message: str, **body: Any) -> HubError:
    return HubError(409, message, **body)


def commit_happened() -> HubError:
    return HubError(412, "A commit has happened since. Please refresh and try again.")


def range_not_satisfiable(size: int) -> HubError:
    return HubError(416, "Range Not Satisfiable", headers={"Content-Range": f"bytes */{size}"})
