"""The one exception tree.

    EngrainError
    ├── InvalidFact        (ValueError)    the document can never be taught as it stands; final
    ├── InvalidRecipe      (ValueError)    the training configuration cannot work; final
    ├── InvalidSettings    (ValueError)    the deployment is misconfigured; said before anything starts
    ├── NotFound           (LookupError)   no such fact, job, namespace or version
    ├── Conflict           (RuntimeError)  the thing exists but is in a state that does not allow this
    │   └── IllegalMove                    a status change that the transition table does not have
    ├── LeaseLost          (RuntimeError)  another worker holds the job now; the holder must stop writing
    ├── InjectionFailed    (RuntimeError)  training ran and did not give an adapter worth publishing; final
    ├── CorruptAdapter     (OSError)       an adapter's files differ from their manifest; never loaded
    └── Unavailable        (ConnectionError)  a part is down or busy; try again later

Every leaf is also a standard exception, carries one human sentence and survives pickling. Which HTTP status a
class becomes is known to `service/problems.py` alone.
"""


class EngrainError(Exception):
    """Anything that Engrain raises on purpose. `str(error)` is a sentence for the person who caused it."""


class InvalidFact(EngrainError, ValueError):
    """The document can never be taught as it stands."""


class InvalidRecipe(EngrainError, ValueError):
    """The training configuration cannot work with this base model."""


class InvalidSettings(EngrainError, ValueError):
    """The deployment is misconfigured."""


class NotFound(EngrainError, LookupError):
    """No such fact, job, namespace or version."""


class Conflict(EngrainError, RuntimeError):
    """The thing exists but is in a state that does not allow this."""


class IllegalMove(Conflict):
    """A status change that the transition table does not have."""


class LeaseLost(EngrainError, RuntimeError):
    """Another worker holds the job now; whoever gets this stops without writing anything more."""


class InjectionFailed(EngrainError, RuntimeError):
    """Training ran and did not give an adapter worth publishing."""


class Unavailable(EngrainError, ConnectionError):
    """A part is down or busy; the same call may succeed later."""


class CorruptAdapter(EngrainError, OSError):
    """An adapter's folder is missing, half written or differs from its manifest; it must not be loaded."""
