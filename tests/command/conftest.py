from tests.command.processes import crowd

__all__ = ["crowd"]
