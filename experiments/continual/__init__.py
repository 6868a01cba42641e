"""What later updates do to earlier facts: ways of continuing compared, and the drill over the running stack."""
