"""What every room stands on: settings, ids, errors, the SQL session, the outbox, paging."""
