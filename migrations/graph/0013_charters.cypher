// When a community was founded, or last changed its tags or who may find it: what the model of an hour ago lacks.
CREATE INDEX community_charted_at IF NOT EXISTS FOR (n:Community) ON (n.charted_at);
EMBEDDED CREATE CONSTRAINT community_charted_at_type IF NOT EXISTS FOR (n:Community) REQUIRE n.charted_at IS :: STRING;
