"""`python -m knowledge.store upgrade`: brings the store's tables up to date."""

import sys

from knowledge.errors import EngrainError
from knowledge.settings import Settings
from knowledge.store.schema import upgrade

if __name__ == "__main__":
    if sys.argv[1:] != ["upgrade"]:
        sys.exit("usage: python -m knowledge.store upgrade")
    try:
        upgrade(Settings.read().store)
    except EngrainError as error:
        sys.exit(f"engrain: {error}")
