// The figures of an event (community/seats.py): how many registrations in each channel and status, and on each day.
CREATE CONSTRAINT registration_day_key IF NOT EXISTS FOR (n:RegistrationDay) REQUIRE n.key IS UNIQUE;
CREATE INDEX registration_day_event IF NOT EXISTS FOR (n:RegistrationDay) ON (n.event_id);
// What is there is counted, the days before the figures that say it is done: killed half-way and begun again it ends the same.
MATCH (e:Event)
WHERE e.figures IS NULL
CALL (e) {
  MATCH (e)<-[r:REGISTERED_FOR]-()
  WHERE r.registered_at IS NOT NULL
  WITH e, left(r.registered_at, 10) AS date,
       collect(toInteger(substring(r.registered_at, 11, 2)) * 4 + toInteger(substring(r.registered_at, 14, 2)) / 15) AS found
  MERGE (d:RegistrationDay {key: e.id + ':' + date})
  SET d.event_id = e.id, d.date = date, d.quarters = [i IN range(0, 95) | size([quarter IN found WHERE quarter = i])]
} IN TRANSACTIONS OF 10 ROWS;
MATCH (e:Event)
WHERE e.figures IS NULL
CALL (e) {
  CALL (e) {
    MATCH (e)<-[r:REGISTERED_FOR]-()
    RETURN collect(coalesce(r.channel, 'PLACE') + ':' + r.status) AS found
  }
  SET e.figures = [name IN ['PLACE:REGISTERED', 'PLACE:WAITING', 'PLACE:OFFERED', 'PLACE:OFFER_EXPIRED', 'PLACE:CANCELLED',
    'PLACE:ATTENDED', 'PLACE:NO_SHOW', 'LINK:REGISTERED', 'LINK:WAITING', 'LINK:OFFERED', 'LINK:OFFER_EXPIRED',
    'LINK:CANCELLED', 'LINK:ATTENDED', 'LINK:NO_SHOW'] | size([one IN found WHERE one = name])]
} IN TRANSACTIONS OF 10 ROWS;
// Places of relationships in lists are on nodes (graph/listed.py): an index of nodes has ranges on both engines.
CREATE CONSTRAINT listed_key IF NOT EXISTS FOR (n:Listed) REQUIRE n.key IS UNIQUE;
CREATE INDEX listed_order IF NOT EXISTS FOR (n:Listed) ON (n.order);
CREATE INDEX listed_roll IF NOT EXISTS FOR (n:Listed) ON (n.roll);
CREATE INDEX listed_queue IF NOT EXISTS FOR (n:Listed) ON (n.queue);
CREATE INDEX listed_offer IF NOT EXISTS FOR (n:Listed) ON (n.offer);
EMBEDDED CREATE CONSTRAINT listed_order_type IF NOT EXISTS FOR (n:Listed) REQUIRE n.order IS :: STRING;
EMBEDDED CREATE CONSTRAINT listed_roll_type IF NOT EXISTS FOR (n:Listed) REQUIRE n.roll IS :: STRING;
EMBEDDED CREATE CONSTRAINT listed_queue_type IF NOT EXISTS FOR (n:Listed) REQUIRE n.queue IS :: STRING;
EMBEDDED CREATE CONSTRAINT listed_offer_type IF NOT EXISTS FOR (n:Listed) REQUIRE n.offer IS :: STRING;
MATCH (c:Customer)-[r:REGISTERED_FOR]->(e:Event)
CALL (c, r, e) {
  MERGE (x:Listed {key: r.key})
  SET x.customer_id = c.id, x.order = e.id + ':' + coalesce(r.registered_at, '') + ':' + c.id,
      x.roll = e.id + ':' + r.status + ':' + coalesce(r.registered_at, '') + ':' + c.id, x.queue = r.queue, x.offer = r.offer,
      x.party = CASE WHEN r.queue IS NULL THEN null ELSE 1 + coalesce(r.guests, 0) END,
      x.overtaken = CASE WHEN r.queue IS NULL THEN null ELSE coalesce(r.overtaken, 0) END
} IN TRANSACTIONS OF 1000 ROWS;
MATCH (x:Customer)-[m:MEMBER_OF]->(c:Community)
WHERE m.role IN ['PENDING', 'INVITED', 'BANNED']
CALL (x, m, c) {
  MERGE (l:Listed {key: m.key})
  SET l.customer_id = x.id, l.roll = c.id + ':' + m.role + ':' + m.since + ':' + x.id
} IN TRANSACTIONS OF 1000 ROWS;
DROP INDEX registration_order IF EXISTS;
DROP INDEX registration_queue IF EXISTS;
DROP INDEX registration_offer IF EXISTS;
