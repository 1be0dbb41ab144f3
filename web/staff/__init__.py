"""People, agents and numbers, for administrators."""
