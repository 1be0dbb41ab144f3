"""Handling units (承办单位): who a ticket can be given to (R15)."""
