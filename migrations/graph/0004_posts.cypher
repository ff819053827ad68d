// Posts, comments, earlier versions of posts, reactions, and counters in shards (community/tallies.py).
CREATE CONSTRAINT post_id IF NOT EXISTS FOR (n:Post) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT comment_id IF NOT EXISTS FOR (n:Comment) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT edit_order IF NOT EXISTS FOR (n:Edit) REQUIRE n.order IS UNIQUE;
CREATE CONSTRAINT reaction_key IF NOT EXISTS FOR (n:Reaction) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT tally_key IF NOT EXISTS FOR (n:Tally) REQUIRE n.key IS UNIQUE;
CREATE INDEX post_order IF NOT EXISTS FOR (n:Post) ON (n.order);
CREATE INDEX post_feed_order IF NOT EXISTS FOR (n:Post) ON (n.feed_order);
CREATE INDEX comment_order IF NOT EXISTS FOR (n:Comment) ON (n.order);
CREATE INDEX tally_target IF NOT EXISTS FOR (n:Tally) ON (n.target_id);
CREATE INDEX event_feed_order IF NOT EXISTS FOR (n:Event) ON (n.feed_order);
// The embedded engine reads a range in the order of its index only where the property's type is declared.
EMBEDDED CREATE CONSTRAINT post_order_type IF NOT EXISTS FOR (n:Post) REQUIRE n.order IS :: STRING;
EMBEDDED CREATE CONSTRAINT comment_order_type IF NOT EXISTS FOR (n:Comment) REQUIRE n.order IS :: STRING;
EMBEDDED CREATE CONSTRAINT edit_order_type IF NOT EXISTS FOR (n:Edit) REQUIRE n.order IS :: STRING;
// Inside a subquery it finds by equality only; Neo4j, which takes the range, must not be led astray by these.
EMBEDDED CREATE INDEX post_community IF NOT EXISTS FOR (n:Post) ON (n.community_id);
EMBEDDED CREATE INDEX comment_post IF NOT EXISTS FOR (n:Comment) ON (n.post_id);
EMBEDDED CREATE INDEX edit_post IF NOT EXISTS FOR (n:Edit) ON (n.post_id);
EMBEDDED CREATE INDEX event_community IF NOT EXISTS FOR (n:Event) ON (n.community_id);
