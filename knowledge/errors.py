"""The one exception tree.

    EngrainError
    ├── InvalidFact        (ValueError)    the document can never be taught as it stands; final
    ├── KeyReused          (ValueError)    the Idempotency-Key was used for another request; final
    ├── InvalidRecipe      (ValueError)    the training configuration cannot work; final
    ├── InvalidKey         (ValueError)    a key that cannot be made as it was asked for
    ├── InvalidSettings    (ValueError)    the deployment is misconfigured; said before anything starts
    ├── Forbidden          (PermissionError)  the caller's key does not reach that far
    ├── NotFound           (LookupError)   no such fact, job, namespace, version or key, or none that the caller sees
    │   └── VersionDeleted                 the version was there, and its files are not any more; final
    ├── Conflict           (RuntimeError)  the thing exists but is in a state that does not allow this
    │   ├── IllegalMove                    a status change that the transition table does not have
    │   ├── Contradiction                  a posted text says otherwise than a known one, and not which shall hold
    │   └── KeyInUse                       a request with this Idempotency-Key is still running; try again later
    ├── LeaseLost          (RuntimeError)  another worker holds the job now; the holder must stop writing
    ├── InjectionFailed    (RuntimeError)  training ran and did not give an adapter worth publishing; final
    ├── CorruptAdapter     (OSError)       an adapter's files differ from their manifest; never loaded
    ├── CorruptBackup      (OSError)       a backup's file is not whole; nothing of it is restored
    └── Unavailable        (ConnectionError)  a part is down or busy; try again later
        └── QueueFull                      more facts wait to be learnt than may
        └── DiskFull                       nothing could be written; tried again by itself, for as long as it takes

Every leaf is also a standard exception, carries one human sentence and survives pickling. Which HTTP status a
class becomes is known to `service/problems.py` alone.
"""

import errno


class EngrainError(Exception):
    """Anything that Engrain raises on purpose. `str(error)` is a sentence for the person who caused it."""


class InvalidFact(EngrainError, ValueError):
    """The document can never be taught as it stands."""


class KeyReused(EngrainError, ValueError):
    """The Idempotency-Key was used for another request."""


class InvalidRecipe(EngrainError, ValueError):
    """The training configuration cannot work with this base model."""


class InvalidKey(EngrainError, ValueError):
    """A key that cannot be made as it was asked for."""


class InvalidSettings(EngrainError, ValueError):
    """The deployment is misconfigured."""


class Forbidden(EngrainError, PermissionError):
    """The caller's key does not reach that far."""


class NotFound(EngrainError, LookupError):
    """No such fact, job, namespace, version or key, or none that the caller sees."""


class VersionDeleted(NotFound):
    """The version was deleted: by the retention of old versions, or because it knew what was to be forgotten."""


class Conflict(EngrainError, RuntimeError):
    """The thing exists but is in a state that does not allow this."""


class IllegalMove(Conflict):
    """A status change that the transition table does not have."""


class Contradiction(Conflict):
    """A posted text says otherwise than a known one, and the request does not say which shall hold.

    Each of `conflicts` has the posted text and its answer, the known fact's id (None when it came with the same
    request), text and answer, and the question that both answer.
    """

    def __init__(self, message: str, conflicts: tuple[dict[str, str | None], ...] = ()) -> None:
        super().__init__(message, conflicts)
        self.conflicts = conflicts

    def __str__(self) -> str:
        return str(self.args[0])


class KeyInUse(Conflict):
    """A request with this Idempotency-Key is still running."""


class LeaseLost(EngrainError, RuntimeError):
    """Another worker holds the job now; whoever gets this stops without writing anything more."""


class InjectionFailed(EngrainError, RuntimeError):
    """Training ran and did not give an adapter worth publishing."""


class Unavailable(EngrainError, ConnectionError):
    """A part is down or busy; the same call may succeed later."""


class QueueFull(Unavailable):
    """More facts of a namespace wait to be learnt than may."""


class DiskFull(Unavailable):
    """Nothing more can be written where adapters are kept; what was begun is taken away again."""


class CorruptAdapter(EngrainError, OSError):
    """An adapter's folder is missing, half written or differs from its manifest; it must not be loaded."""


class CorruptBackup(EngrainError, OSError):
    """A backup's file is missing, cut off or damaged; it must not be restored."""


def is_disk_full(error: BaseException) -> bool:
    """Whether it says that the disk is full. By its words too: safetensors' own error carries no number."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)
