"""Who may call, and where a call goes: ledger, queues, agents, dispatcher. Imports core only."""
