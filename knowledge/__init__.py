"""The nouns of Engrain: facts, jobs, versions, probes, recipes. No web, queue or tensor code in here."""
