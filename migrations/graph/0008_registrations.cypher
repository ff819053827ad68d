// Waiting lists, open offers, and the registrations of an event in their order (community/seats.py).
CREATE INDEX registration_queue IF NOT EXISTS FOR ()-[r:REGISTERED_FOR]-() ON (r.queue);
CREATE INDEX registration_offer IF NOT EXISTS FOR ()-[r:REGISTERED_FOR]-() ON (r.offer);
CREATE INDEX registration_order IF NOT EXISTS FOR ()-[r:REGISTERED_FOR]-() ON (r.order);
CREATE INDEX event_offer_due IF NOT EXISTS FOR (n:Event) ON (n.offer_due);
// Registrations from before there were channels, guests and an order; and the seats that imported guests hold.
MATCH (c:Customer)-[r:REGISTERED_FOR]->(e:Event)
WHERE r.order IS NULL
CALL (c, r, e) {
  SET r.order = e.id + ':' + r.registered_at + ':' + c.id, r.channel = 'PLACE', r.guests = coalesce(r.guests, 0)
} IN TRANSACTIONS OF 10000 ROWS;
MATCH (e:Event)
WHERE e.registered > 0 AND e.waiting IS NULL
CALL (e) {
  CALL (e) {
    MATCH (e)<-[r:REGISTERED_FOR]-()
    WHERE r.status IN ['REGISTERED', 'ATTENDED', 'NO_SHOW']
    RETURN sum(1 + r.guests) AS seats
  }
  SET e.registered = seats
} IN TRANSACTIONS OF 1000 ROWS;
