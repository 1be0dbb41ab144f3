"""Flows, nodes, engine and prompts, without a telephone."""
