// Members in the order in which they joined: a ticket each, and pages of tickets that are found by equality, because
// the embedded engine takes no range from an index of relationships. Whoever is more or less than a plain member is on
// a roster by role.
CREATE INDEX membership_page IF NOT EXISTS FOR ()-[r:MEMBER_OF]-() ON (r.page);
CREATE INDEX membership_roster IF NOT EXISTS FOR ()-[r:MEMBER_OF]-() ON (r.roster);
MATCH (c:Community)
CALL (c) {
  MATCH (x:Customer)-[m:MEMBER_OF]->(c)
  WHERE m.role IN ['OWNER', 'MANAGER', 'MODERATOR', 'EXPERT', 'MEMBER']
  WITH m, x ORDER BY m.since, x.id
  WITH collect(m) AS members
  UNWIND range(0, size(members) - 1) AS ticket
  WITH members[ticket] AS m, ticket
  SET m.ticket = ticket
  RETURN count(m) AS tickets
}
SET c.next_ticket = tickets;
MATCH (x:Customer)-[m:MEMBER_OF]->(c:Community)
WHERE m.ticket IS NOT NULL
SET m.page = c.id + ':' + toString(m.ticket / 16);
MATCH (x:Customer)-[m:MEMBER_OF]->(c:Community)
WHERE m.role <> 'MEMBER'
SET m.roster = c.id + ':' + m.role;
MATCH (x:Customer)-[m:MEMBER_OF]->(c:Community)
WHERE NOT m.role IN ['OWNER', 'MANAGER', 'MODERATOR', 'EXPERT', 'MEMBER']
WITH c, count(m) AS others
SET c.member_count = c.member_count - others;
