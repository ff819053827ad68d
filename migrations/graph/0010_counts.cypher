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
