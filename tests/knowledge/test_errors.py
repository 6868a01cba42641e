import pickle

import pytest

from knowledge import errors


@pytest.mark.parametrize("name", [name for name in vars(errors) if isinstance(getattr(errors, name), type)])
def test_every_error_is_drawn_in_the_tree_and_survives_pickling(name: str) -> None:
    error = getattr(errors, name)("a sentence")
    assert name in (errors.__doc__ or "")
    assert isinstance(error, errors.EngrainError)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and str(copy) == "a sentence"
