// Events by their start in a community, by when they became public, and by their place in a series.
CREATE INDEX event_order IF NOT EXISTS FOR (n:Event) ON (n.order);
CREATE INDEX event_feed_order IF NOT EXISTS FOR (n:Event) ON (n.feed_order);
CREATE INDEX event_series IF NOT EXISTS FOR (n:Event) ON (n.series_id);
// Series, and when the worker looks at one again.
CREATE CONSTRAINT event_series_id IF NOT EXISTS FOR (n:EventSeries) REQUIRE n.id IS UNIQUE;
CREATE INDEX event_series_extend_at IF NOT EXISTS FOR (n:EventSeries) ON (n.extend_at);
// Events from before: the place of each in the lists, and the counters that new ones begin with.
MATCH (e:Event)
WHERE e.order IS NULL
CALL (e) {
  SET e.order = e.community_id + ':' + e.starts_at + ':' + e.id, e.link_registered = 0, e.waiting = 0, e.link_waiting = 0,
      e.next_ticket = 1, e.version = 1, e.attendance_mode = 'IN_PERSON', e.guests_allowed = 0, e.offer_hours = 12
} IN TRANSACTIONS OF 10000 ROWS;
MATCH (e:Event)
WHERE e.feed_order IS NULL AND e.status <> 'DRAFT'
WITH e, CASE WHEN e.created_at < e.starts_at THEN e.created_at ELSE e.starts_at END AS published_at
CALL (e, published_at) {
  SET e.published_at = published_at, e.feed_order = e.community_id + ':' + published_at + ':' + e.id
} IN TRANSACTIONS OF 10000 ROWS;
