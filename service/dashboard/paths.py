"""Which paths are pages of the dashboard."""

ROOT = "/dashboard"


def is_page(path: str) -> bool:
    """Whether browsers open this, and programs do not."""
    return path == ROOT or path.startswith(f"{ROOT}/")
