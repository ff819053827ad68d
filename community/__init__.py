"""Interest communities: memberships, events, registrations, check-in, recommendations."""
