// Events have other keys for where they are (community/search_cells.py): the worker indexes all of them anew, page after
// page; where there are none, nothing is owed.
MATCH (n:Event)
WITH n LIMIT 1
MERGE (o:Owed {key: 'search.index:Event:all:2'})
SET o.topic = 'search.index', o.payload = '{"label": "Event", "after": ""}', o.due_at = '2026-11-28T00:00:00.000000Z';
