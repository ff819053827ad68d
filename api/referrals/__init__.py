"""GraphQL of the room `referrals`."""
