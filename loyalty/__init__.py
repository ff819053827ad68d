"""Loyalty: the ledger, its lots, earning, the catalogue and redemption."""
