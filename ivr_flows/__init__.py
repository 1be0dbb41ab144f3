"""What a caller hears: flow schema, node types, engine, prompts. Imports core and routing."""
