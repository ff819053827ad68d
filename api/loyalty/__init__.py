"""GraphQL of the room `loyalty`."""
