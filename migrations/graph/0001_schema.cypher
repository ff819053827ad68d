// Keys of every node, and of the relationships of which there is one per pair.
CREATE CONSTRAINT customer_id IF NOT EXISTS FOR (n:Customer) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT employee_id IF NOT EXISTS FOR (n:Employee) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT tag_key IF NOT EXISTS FOR (n:Tag) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT community_id IF NOT EXISTS FOR (n:Community) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT event_id IF NOT EXISTS FOR (n:Event) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT recommendation_list_customer IF NOT EXISTS FOR (n:RecommendationList) REQUIRE n.customer_id IS UNIQUE;
CREATE CONSTRAINT membership_key IF NOT EXISTS FOR ()-[r:MEMBER_OF]-() REQUIRE r.key IS UNIQUE;
CREATE CONSTRAINT registration_key IF NOT EXISTS FOR ()-[r:REGISTERED_FOR]-() REQUIRE r.key IS UNIQUE;
CREATE CONSTRAINT referred_key IF NOT EXISTS FOR ()-[r:REFERRED]-() REQUIRE r.key IS UNIQUE;
// What the sweep looks for.
CREATE INDEX registration_settled IF NOT EXISTS FOR ()-[r:REGISTERED_FOR]-() ON (r.settled);
CREATE INDEX referred_settled IF NOT EXISTS FOR ()-[r:REFERRED]-() ON (r.settled);
