"""Access to the hub: retry requests to busy servers, and explain each error in one line with its remedy."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from glu_lib.study import ModelVariant

_WAITS_S = (1, 2, 4, 8)  # before each retry


Answer = TypeVar("Answer")


def explain_access(variant: ModelVariant, error: Exception) -> str:
    """The error message for a model that the hub does not give: cause and remedy."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    model = f"model {variant.key} ({variant.source})"
    if isinstance(error, GatedRepoError):
        page = f"{constants.ENDPOINT}/{variant.source}"
        return f"{model} is gated: accept its licence at {page}, then set HF_TOKEN or run `hf auth login`"
    if isinstance(error, RevisionNotFoundError):
        return f"{model} has no revision {variant.revision!r}; choose an existing branch, tag or commit"
    if isinstance(error, RepositoryNotFoundError):
        return f"{model} was not found on the hub; check the id, and HF_TOKEN if the repository is private"
    if is_offline_error(error):
        return (
            f"{model} cannot be reached: no connection to {constants.ENDPOINT} and no copy in the local cache; "
            "connect, or name a local folder as its source (the embedded model needs no network: pytest -k nano)"
        )
    return f"{model} cannot be read: {type(error).__name__}: {first_line(error)}; try again later"


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type if the message is empty."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def with_patience(action: Callable[[], Answer]) -> Answer:
    """Call `action` and return its result; retry up to four times if a server is busy (5xx, too many requests)."""
    for wait_s in _WAITS_S:
        try:
            return action()
        except Exception as error:
            if not _is_busy(error):
                raise
        time.sleep(wait_s)
    return action()


def _is_busy(error: BaseException | None) -> bool:
    """Whether `error`, or one of its causes, is a server's response 5xx or 429."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int) and (
            status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_unreachable(error: Exception) -> bool:
    """Whether `error` may mean that a server or a cache could not be reached, or was too busy to answer."""
    # Without network, datasets raises ValueError for data missing from its cache.
    return isinstance(error, (OSError, ValueError, transport_error())) or _is_busy(error)


def is_offline_error(error: Exception) -> bool:
    """Whether `error` means that no server answered, as opposed to a server that refused."""
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error, (OSError, transport_error())) and not isinstance(error, HfHubHTTPError)


def transport_error() -> type[Exception]:
    """The hub client's base error, raised for a lost connection or a time-out.

    Its subclass HfHubHTTPError is for responses of a server. The base depends on the HTTP library, which differs
    between versions of the client, so it is taken from HfHubHTTPError.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__bases__[0]


def cannot_be_loaded(variant: ModelVariant, error: Exception) -> str:
    """The error message for a model whose files cannot be loaded: cause and requirements."""
    # OSError and ValueError carry a message of transformers; others (KeyError: 'x') are clear only with their type.
    kind = "" if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: "
    return (
        f"model {variant.key} ({variant.source}) cannot be loaded: {kind}{first_line(error)} "
        "(a configuration, a tokenizer and safetensors weights are needed; code in the repository is never run)"
    )
