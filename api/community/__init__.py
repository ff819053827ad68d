"""GraphQL of the room `community`."""
