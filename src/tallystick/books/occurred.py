"""What was done before it is written down: on paper, at a till without a line, in an old system."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

Verb = TypeVar("Verb", bound=Callable[..., Any])


def dated(verb: Verb) -> Verb:
    """A verb of books that takes `occurred_at`: every command that it gives happened then."""

    @wraps(verb)
    def happened(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("occurred_at") is None:
            return verb(self, *args, **kwargs)
        then = copy.copy(self)
        then._occurred_at = kwargs["occurred_at"]
        return verb(then, *args, **kwargs)

    return cast(Verb, happened)
