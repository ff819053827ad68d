// Members in the order in which they joined: a ticket each, and pages of tickets that are found by equality, because
// the embedded engine takes no range from an index of relationships. Whoever is more or less than a plain member is on
// a roster by role.
CREATE INDEX membership_page IF NOT EXISTS FOR ()-[r:MEMBER_OF]-() ON (r.page);
CREATE INDEX membership_roster IF NOT EXISTS FOR ()-[r:MEMBER_OF]-() ON (r.roster);
// Each community in a transaction of its own, and none twice: killed half-way and begun again it ends the same.
MATCH (c:Community)
WHERE c.next_ticket IS NULL
CALL (c) {
  CALL (c) {
    MATCH (x:Customer)-[m:MEMBER_OF]->(c)
    WHERE m.role IN ['OWNER', 'MANAGER', 'MODERATOR', 'EXPERT', 'MEMBER']
    WITH c, m, x ORDER BY m.since, x.id
    WITH c, collect(m) AS members
    UNWIND range(0, size(members) - 1) AS ticket
    WITH c, members[ticket] AS m, ticket
    SET m.ticket = ticket, m.page = c.id + ':' + toString(ticket / 16)
    RETURN count(m) AS tickets
  }
  SET c.next_ticket = tickets, c.member_count = tickets
} IN TRANSACTIONS OF 1 ROW;
MATCH (x:Customer)-[m:MEMBER_OF]->(c:Community)
WHERE m.role <> 'MEMBER' AND m.roster IS NULL
CALL (m, c) {
  SET m.roster = c.id + ':' + m.role
} IN TRANSACTIONS OF 10000 ROWS;
