// Waiting lists, open offers, and the registrations of an event in their order (community/seats.py).
CREATE INDEX registration_queue IF NOT EXISTS FOR ()-[r:REGISTERED_FOR]-() ON (r.queue);
CREATE INDEX registration_offer IF NOT EXISTS FOR ()-[r:REGISTERED_FOR]-() ON (r.offer);
CREATE INDEX registration_order IF NOT EXISTS FOR ()-[r:REGISTERED_FOR]-() ON (r.order);
CREATE INDEX event_offer_due IF NOT EXISTS FOR (n:Event) ON (n.offer_due);
