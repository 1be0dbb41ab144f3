"""Tickets (工单): from intake on."""
