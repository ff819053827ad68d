// What a newcomer is offered: communities by their number of members, over all tags. (Lists have their constraint in 0001.)
CREATE CONSTRAINT popularity_name IF NOT EXISTS FOR (n:Popularity) REQUIRE n.name IS UNIQUE;
