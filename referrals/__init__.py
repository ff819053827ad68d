"""Client referrals: programmes, codes, links, attribution, qualification, rewards."""
