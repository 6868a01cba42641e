"""Tables, queries and migrations: the only place with SQL. Each public function is one transaction."""

from knowledge.store.database import Store, now

__all__ = ["Store", "now"]
