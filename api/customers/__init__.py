"""GraphQL of the room `customers`."""
