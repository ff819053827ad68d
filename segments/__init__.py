"""What is known of customers (tags, tier, traits, events), and the one language in which all rooms ask for it."""
