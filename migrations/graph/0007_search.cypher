// Search. Texts as people wrote them, and beside them what community/search_documents.py writes: words of tags, and keys.
NEO4J CREATE FULLTEXT INDEX search_event IF NOT EXISTS FOR (n:Event)
  ON EACH [n.title_zh, n.title_en, n.description_zh, n.description_en, n.search_words, n.search_keys]
  OPTIONS {indexConfig: {`fulltext.analyzer`: 'cjk', `fulltext.eventually_consistent`: false}};
NEO4J CREATE FULLTEXT INDEX search_community IF NOT EXISTS FOR (n:Community)
  ON EACH [n.name_zh, n.name_en, n.purpose_zh, n.purpose_en, n.description_zh, n.description_en, n.search_words, n.search_keys]
  OPTIONS {indexConfig: {`fulltext.analyzer`: 'cjk', `fulltext.eventually_consistent`: false}};
NEO4J CREATE FULLTEXT INDEX search_post IF NOT EXISTS FOR (n:Post)
  ON EACH [n.text, n.search_words, n.search_keys]
  OPTIONS {indexConfig: {`fulltext.analyzer`: 'cjk', `fulltext.eventually_consistent`: false}};
// The order of answers, for questions without words.
NEO4J CREATE INDEX search_event_place IF NOT EXISTS FOR (n:Event) ON (n.search_place);
NEO4J CREATE INDEX search_community_place IF NOT EXISTS FOR (n:Community) ON (n.search_place);
NEO4J CREATE INDEX search_post_place IF NOT EXISTS FOR (n:Post) ON (n.search_place);
// What was there before is indexed by the worker, page after page; where there is nothing, nothing is owed.
MATCH (n:Community)
WITH n LIMIT 1
MERGE (o:Owed {key: 'search.index:Community:all:1'})
SET o.topic = 'search.index', o.payload = '{"label": "Community", "after": ""}', o.due_at = '2026-11-01T00:00:00.000000Z';
MATCH (n:Event)
WITH n LIMIT 1
MERGE (o:Owed {key: 'search.index:Event:all:1'})
SET o.topic = 'search.index', o.payload = '{"label": "Event", "after": ""}', o.due_at = '2026-11-01T00:00:00.000000Z';
