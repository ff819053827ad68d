// Events that start or have ended within a window, for reminders and requests for feedback.
CREATE INDEX event_starts_at IF NOT EXISTS FOR (n:Event) ON (n.starts_at);
CREATE INDEX event_ends_at IF NOT EXISTS FOR (n:Event) ON (n.ends_at);
